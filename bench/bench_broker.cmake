add_library(bench_peers STATIC ${CMAKE_CURRENT_LIST_DIR}/peers.c)
target_link_libraries(bench_peers PUBLIC fw_options fw::broker fw::workers)
add_executable(bench_broker ${CMAKE_CURRENT_LIST_DIR}/bench_broker.c)
target_link_libraries(bench_broker PRIVATE bench_peers)
