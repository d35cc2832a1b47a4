add_executable(bench_purge ${CMAKE_CURRENT_LIST_DIR}/bench_purge.c
  ${PROJECT_SOURCE_DIR}/tests/support/job_broker.c ${PROJECT_SOURCE_DIR}/tests/support/redis_fixture.c)
target_link_libraries(bench_purge PRIVATE fw_options fw::workers)
