# Tests of runtime/.
foreach(topic
    actor admin alloc backoff config config_document config_yaml descriptors handshakes health inlet keyring listen metrics random resolve rule shared signals socket
    socket_settings zap_request)
  fw_unit_test(runtime ${topic} fw::runtime)
endforeach()

# Keys and peers for tests of links with CURVE.
add_library(fw_test_keys STATIC ${PROJECT_SOURCE_DIR}/tests/support/keys.c)
target_include_directories(fw_test_keys PUBLIC ${PROJECT_SOURCE_DIR}/tests/support)
target_link_libraries(fw_test_keys PRIVATE fw_options PUBLIC fw::runtime)
foreach(topic security zap)
  fw_unit_test(runtime ${topic} fw_test_keys)
endforeach()

foreach(topic json log)
  fw_unit_test(runtime ${topic} fw::runtime PkgConfig::jansson)
endforeach()

add_test(NAME unit.tidy COMMAND ${PROJECT_SOURCE_DIR}/scripts/tidy)
set_tests_properties(unit.tidy PROPERTIES LABELS unit TIMEOUT 60)
