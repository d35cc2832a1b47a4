add_executable(bench_broker ${CMAKE_CURRENT_LIST_DIR}/bench_broker.c)
target_link_libraries(bench_broker PRIVATE fw_options fw::broker)
