# The gateway with real sockets on both sides: browsers on one, a fake broker on the other.
include(${PROJECT_SOURCE_DIR}/tests/support/gateway_support.cmake)
foreach(topic sessions input delivery links publish drain)
  fw_integration_test(gateway_${topic} fw_gateway_support)
endforeach()
