add_executable(bench_gateway ${CMAKE_CURRENT_LIST_DIR}/bench_gateway.c
  ${CMAKE_CURRENT_LIST_DIR}/servers.c ${CMAKE_CURRENT_LIST_DIR}/sessions.c)
target_link_libraries(bench_gateway PRIVATE fw_options fw::broker fw::gateway PkgConfig::rhonabwy)
