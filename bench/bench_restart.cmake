add_executable(bench_restart ${CMAKE_CURRENT_LIST_DIR}/bench_restart.c
  ${PROJECT_SOURCE_DIR}/tests/support/many_channels.c)
target_link_libraries(bench_restart PRIVATE bench_peers fw::gateway)
