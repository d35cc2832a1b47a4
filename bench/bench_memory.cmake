add_executable(bench_memory ${CMAKE_CURRENT_LIST_DIR}/bench_memory.c)
target_link_libraries(bench_memory PRIVATE bench_peers bench_hubs)
