add_library(fw_many_channels STATIC ${PROJECT_SOURCE_DIR}/tests/support/many_channels.c)
target_link_libraries(fw_many_channels PRIVATE fw_options PUBLIC fw::gateway)
fw_integration_test(resubscribe fw_many_channels fw::broker fw::publisher)
fw_integration_test(refused_keys fw_many_channels fw_test_keys fw::broker fw::publisher)
