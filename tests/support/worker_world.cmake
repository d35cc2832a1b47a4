# fw_worker_world: workers, a real Redis and a test's broker. Include this file, then link fw_worker_world.
include_guard(GLOBAL)
include(${CMAKE_CURRENT_LIST_DIR}/redis_fixture.cmake)
add_library(fw_worker_world STATIC
  ${PROJECT_SOURCE_DIR}/tests/support/job_broker.c
  ${PROJECT_SOURCE_DIR}/tests/support/redis_cluster.c
  ${PROJECT_SOURCE_DIR}/tests/support/worker_world.c)
target_link_libraries(fw_worker_world PRIVATE fw_options PUBLIC fw::workers fw_redis_fixture PkgConfig::cmocka)
