# Tests of runtime/.
foreach(topic
    actor admin alloc backoff config config_document config_yaml handshakes health listen metrics random resolve rule signals socket
    socket_settings)
  fw_unit_test(runtime ${topic} fw::runtime)
endforeach()
foreach(topic json log)
  fw_unit_test(runtime ${topic} fw::runtime PkgConfig::jansson)
endforeach()

add_test(NAME unit.tidy COMMAND ${PROJECT_SOURCE_DIR}/scripts/tidy)
set_tests_properties(unit.tidy PROPERTIES LABELS unit TIMEOUT 60)
