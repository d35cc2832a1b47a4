foreach(topic broker broker_cache)
  fw_integration_test(${topic} fw::broker)
  target_sources(test_integration_${topic} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/broker_fixture.c)
endforeach()
