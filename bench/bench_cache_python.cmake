# A script; it stands beside the other programs so that ./dev bench finds it.
configure_file(${CMAKE_CURRENT_LIST_DIR}/bench_cache_python.in ${CMAKE_CURRENT_BINARY_DIR}/bench_cache_python @ONLY
  FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
