add_library(bench_hubs STATIC ${CMAKE_CURRENT_LIST_DIR}/hubs.c)
target_link_libraries(bench_hubs PUBLIC fw_options fw::gateway)
add_executable(bench_replay ${CMAKE_CURRENT_LIST_DIR}/bench_replay.c)
target_link_libraries(bench_replay PRIVATE bench_peers bench_hubs)
