# Samples and comparisons of every message, shared by tests, vectors and seeds.
add_library(fw_test_wire STATIC ${PROJECT_SOURCE_DIR}/tests/support/wire_any.c
  ${PROJECT_SOURCE_DIR}/tests/support/wire_samples.c)
target_link_libraries(fw_test_wire PUBLIC fw::proto PRIVATE fw_options)

fw_unit_test(proto arena fw::proto)
fw_unit_test(proto browser fw::proto PkgConfig::jansson)
fw_unit_test(proto channel fw::proto)
fw_unit_test(proto codec fw_test_wire)
fw_unit_test(proto codec_json fw_test_wire PkgConfig::jansson)
fw_unit_test(proto codec_memory fw_test_wire)
fw_unit_test(proto codec_mutation fw_test_wire)
fw_unit_test(proto event_check fw::proto)
fw_unit_test(proto json_check fw::proto PkgConfig::jansson)
fw_unit_test(proto json_text fw::proto PkgConfig::jansson)
fw_unit_test(proto position fw::proto)
fw_unit_test(proto session_command fw::proto)
fw_unit_test(proto utf8 fw::proto)
fw_unit_test(proto wildcard fw::proto)
fw_unit_test(proto wire_check fw_test_wire)
# These look behind the codec's interface.
foreach(topic browser codec_memory wire_check)
  target_include_directories(test_unit_proto_${topic} PRIVATE
    $<TARGET_PROPERTY:fw_proto_generated,INTERFACE_INCLUDE_DIRECTORIES>)
endforeach()
target_compile_definitions(test_unit_proto_browser PRIVATE
  FW_BROWSER_VECTORS="${PROJECT_SOURCE_DIR}/tests/support/browser_vectors.txt")
