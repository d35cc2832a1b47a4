add_library(fw_fake_intake STATIC ${PROJECT_SOURCE_DIR}/tests/support/fake_intake.c)
target_link_libraries(fw_fake_intake PRIVATE fw_options PUBLIC fw::runtime fw::proto)
fw_integration_test(publisher fw::publisher fw_fake_intake)
fw_integration_test(publisher_faults fw::publisher fw_fake_intake)
