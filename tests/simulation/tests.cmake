fw_test_program(test_simulation ${PROJECT_SOURCE_DIR}/tests/simulation/test_simulation.c fw::broker fw::gateway)
target_sources(test_simulation PRIVATE ${PROJECT_SOURCE_DIR}/tests/simulation/world.c
  ${PROJECT_SOURCE_DIR}/tests/simulation/broker_side.c ${PROJECT_SOURCE_DIR}/tests/simulation/gateway_side.c
  ${PROJECT_SOURCE_DIR}/tests/simulation/service_side.c
  ${PROJECT_SOURCE_DIR}/tests/simulation/browser.c ${PROJECT_SOURCE_DIR}/tests/simulation/network.c
  ${PROJECT_SOURCE_DIR}/tests/simulation/truth.c)
add_test(NAME simulation.world COMMAND test_simulation)
set_tests_properties(simulation.world PROPERTIES LABELS unit TIMEOUT 600 ENVIRONMENT "${FW_TEST_ENVIRONMENT}")
