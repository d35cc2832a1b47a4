# The gateway with real sockets on both sides: browsers on one, a fake broker on the other.
include(${PROJECT_SOURCE_DIR}/tests/support/gateway_support.cmake)
fw_integration_test(gateway_sessions fw_gateway_support)
fw_integration_test(gateway_input fw_gateway_support)
fw_integration_test(gateway_delivery fw_gateway_support)
fw_integration_test(gateway_links fw_gateway_support)
fw_integration_test(gateway_publish fw_gateway_support)
fw_integration_test(gateway_drain fw_gateway_support)
fw_integration_test(gateway_repair fw_gateway_support fw_wrong_peer)

fw_integration_test(gateway_reload fw_gateway_support)
