foreach(topic timers blob barrier dedupe dispatch fire_gaps policies publishers store core)
  fw_unit_test(broker ${topic} fw::broker)
endforeach()
target_sources(test_unit_broker_store PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/store_contract.c)
