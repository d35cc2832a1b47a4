include(${PROJECT_SOURCE_DIR}/tests/support/redis_fixture.cmake)
fw_integration_test(chain fw::broker fw::workers fw::gateway fw::publisher fw_redis_fixture PkgConfig::rhonabwy)
target_sources(test_integration_chain PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/many_sessions.c
  ${PROJECT_SOURCE_DIR}/tests/support/test_token.c)
