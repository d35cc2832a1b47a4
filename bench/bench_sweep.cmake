add_executable(bench_sweep ${CMAKE_CURRENT_LIST_DIR}/bench_sweep.c
  ${PROJECT_SOURCE_DIR}/tests/support/job_broker.c ${PROJECT_SOURCE_DIR}/tests/support/redis_fixture.c)
target_link_libraries(bench_sweep PRIVATE fw_options fw::workers)
