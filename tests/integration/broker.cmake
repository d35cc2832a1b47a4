fw_integration_test(broker fw::broker)
