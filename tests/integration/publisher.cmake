add_library(fw_fake_broker STATIC ${PROJECT_SOURCE_DIR}/tests/support/fake_broker.c)
target_link_libraries(fw_fake_broker PRIVATE fw_options PUBLIC fw::runtime fw::proto)
fw_integration_test(publisher fw::publisher fw_fake_broker)
fw_integration_test(publisher_faults fw::publisher fw_fake_broker)
