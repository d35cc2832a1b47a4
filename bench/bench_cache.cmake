add_executable(bench_cache ${CMAKE_CURRENT_LIST_DIR}/bench_cache.c
  ${PROJECT_SOURCE_DIR}/tests/support/redis_fixture.c)
target_link_libraries(bench_cache PRIVATE fw_options fw::cache)
