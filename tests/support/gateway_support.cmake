# fw_gateway_support: tokens, a WebSocket client, and a broker that does as it is told, for the tests of the gateway.
include_guard()
add_library(fw_gateway_support STATIC
  ${PROJECT_SOURCE_DIR}/tests/support/token.c ${PROJECT_SOURCE_DIR}/tests/support/signer.c
  ${PROJECT_SOURCE_DIR}/tests/support/ws_client.c
  ${PROJECT_SOURCE_DIR}/tests/support/fake_broker.c ${PROJECT_SOURCE_DIR}/tests/support/gateway_fixture.c)
target_link_libraries(fw_gateway_support PUBLIC fw_options fw::gateway PkgConfig::cmocka)
