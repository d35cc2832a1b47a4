# fw_protobuf_c(<out_sources_variable> <proto>...): generates .pb-c.c/.h below the binary folder, from the root proto/.
find_program(PROTOC_C NAMES protoc-c REQUIRED)
function(fw_protobuf_c out)
  set(generated)
  foreach(proto ${ARGN})
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    set(output ${CMAKE_CURRENT_BINARY_DIR}/${stem}.pb-c.c ${CMAKE_CURRENT_BINARY_DIR}/${stem}.pb-c.h)
    add_custom_command(OUTPUT ${output}
      COMMAND ${PROTOC_C} --proto_path=${CMAKE_CURRENT_SOURCE_DIR} --c_out=${CMAKE_CURRENT_BINARY_DIR} ${proto}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${proto} VERBATIM)
    list(APPEND generated ${output})
  endforeach()
  set(${out} ${generated} PARENT_SCOPE)
endfunction()
