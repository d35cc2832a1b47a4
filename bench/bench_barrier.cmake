add_executable(bench_barrier ${CMAKE_CURRENT_LIST_DIR}/bench_barrier.c ${PROJECT_SOURCE_DIR}/tests/support/redis_fixture.c)
target_link_libraries(bench_barrier PRIVATE bench_peers)
