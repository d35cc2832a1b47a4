# fw_redis_fixture: a private redis-server for tests. Include this file, then link fw_redis_fixture.
include_guard(GLOBAL)
add_library(fw_redis_fixture STATIC ${PROJECT_SOURCE_DIR}/tests/support/redis_fixture.c)
target_link_libraries(fw_redis_fixture PRIVATE fw_options PUBLIC PkgConfig::hiredis)
