add_executable(bench_tick ${CMAKE_CURRENT_LIST_DIR}/bench_tick.c
  ${CMAKE_CURRENT_LIST_DIR}/servers.c ${PROJECT_SOURCE_DIR}/tests/support/many_sessions.c
  ${PROJECT_SOURCE_DIR}/tests/support/test_token.c)
target_link_libraries(bench_tick PRIVATE fw_options fw::broker fw::gateway PkgConfig::rhonabwy)
