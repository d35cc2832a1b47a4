# What C writes, Python's protobuf reads, and the other way round.
add_executable(wire_vectors ${PROJECT_SOURCE_DIR}/tests/support/wire_vectors.c)
target_link_libraries(wire_vectors PRIVATE fw_options fw_test_wire)

find_program(FW_TEST_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)
add_test(NAME integration.wire_vectors
  COMMAND ${FW_TEST_PYTHON} -m pytest -q -p no:cacheprovider
    ${PROJECT_SOURCE_DIR}/tests/integration/test_wire_vectors.py)
set_tests_properties(integration.wire_vectors PROPERTIES LABELS integration TIMEOUT 60
  ENVIRONMENT "${FW_TEST_ENVIRONMENT};FW_WIRE_VECTORS=$<TARGET_FILE:wire_vectors>")
