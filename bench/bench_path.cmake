add_executable(bench_path ${CMAKE_CURRENT_LIST_DIR}/bench_path.c ${CMAKE_CURRENT_LIST_DIR}/path_worker.c)
target_link_libraries(bench_path PRIVATE bench_peers bench_hubs fw::workers)
