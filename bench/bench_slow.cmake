add_executable(bench_slow ${CMAKE_CURRENT_LIST_DIR}/bench_slow.c
  ${CMAKE_CURRENT_LIST_DIR}/servers.c ${PROJECT_SOURCE_DIR}/tests/support/many_sessions.c
  ${PROJECT_SOURCE_DIR}/tests/support/test_token.c)
target_link_libraries(bench_slow PRIVATE fw_options fw::broker fw::gateway PkgConfig::rhonabwy)
