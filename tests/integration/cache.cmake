# The C cache against a real Redis; the model of Redis against a real one; C and Python on one Redis.
include(${PROJECT_SOURCE_DIR}/tests/support/redis_fixture.cmake)
fw_integration_test(cache fw::cache fw_redis_fixture)
fw_integration_test(cache_failures fw::cache fw_redis_fixture)
fw_integration_test(cache_cluster fw::cache fw_redis_fixture)
target_sources(test_integration_cache_cluster PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/redis_cluster.c)
fw_integration_test(cache_model fw::cache fw_redis_fixture)
fw_integration_test(cache_soak fw::cache fw_redis_fixture)
target_sources(test_integration_cache_model PRIVATE ${PROJECT_SOURCE_DIR}/tests/simulation/cache/redis_model.c)

add_executable(cache_peer ${PROJECT_SOURCE_DIR}/tests/support/cache_peer.c)
target_link_libraries(cache_peer PRIVATE fw_options fw::cache)
find_program(FW_TEST_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)
add_test(NAME integration.cache_languages
  COMMAND ${FW_TEST_PYTHON} -m pytest -q -p no:cacheprovider ${PROJECT_SOURCE_DIR}/tests/integration/test_cache_languages.py)
set_tests_properties(integration.cache_languages PROPERTIES LABELS integration TIMEOUT 60
  ENVIRONMENT "${FW_TEST_ENVIRONMENT};FW_CACHE_PEER=$<TARGET_FILE:cache_peer>")
