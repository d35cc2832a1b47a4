# Unit tests of the gateway's pure files.
include(${CMAKE_CURRENT_LIST_DIR}/../../support/gateway_support.cmake)
foreach(topic frame ring sync sync_random topics registry client_message auth claims keys cookie jwks_schedule dialogue_token token_rules route wheel limits gather hub
    dialogue problem publish_request event_json)
  fw_unit_test(gateway ${topic} fw::gateway fw_gateway_support)
endforeach()
foreach(topic address desk_answer frame_check grants proxy_protocol session_request tally tls users)
  fw_unit_test(gateway ${topic} fw::gateway)
endforeach()
foreach(topic encodings sse delays)
  fw_unit_test(gateway ${topic} fw::gateway fw_gateway_support)
endforeach()
target_sources(test_unit_gateway_encodings PRIVATE ${PROJECT_SOURCE_DIR}/tests/unit/proto/browser_message.c)
target_include_directories(test_unit_gateway_encodings PRIVATE
  $<TARGET_PROPERTY:fw_proto_generated,INTERFACE_INCLUDE_DIRECTORIES>)
foreach(topic notes dialogue_rooms)
  fw_unit_test(gateway ${topic} fw::gateway fw_gateway_support)
endforeach()
