# fw_unit_test(<folder> <topic> <library>...): tests/unit/<folder>/test_<topic>.c becomes the test unit.<folder>.<topic>.
# fw_integration_test(<topic> <library>...): tests/integration/test_<topic>.c becomes integration.<topic>.
function(fw_test_program target source)
  add_executable(${target} ${source})
  target_link_libraries(${target} PRIVATE fw_options PkgConfig::cmocka ${ARGN})
endfunction()

function(fw_unit_test folder topic)
  set(target test_unit_${folder}_${topic})
  fw_test_program(${target} ${PROJECT_SOURCE_DIR}/tests/unit/${folder}/test_${topic}.c ${ARGN})
  add_test(NAME unit.${folder}.${topic} COMMAND ${target})
  set_tests_properties(unit.${folder}.${topic} PROPERTIES LABELS unit TIMEOUT 60 ENVIRONMENT "${FW_TEST_ENVIRONMENT}")
endfunction()

function(fw_integration_test topic)
  set(target test_integration_${topic})
  fw_test_program(${target} ${PROJECT_SOURCE_DIR}/tests/integration/test_${topic}.c ${ARGN})
  add_test(NAME integration.${topic} COMMAND ${target})
  set_tests_properties(integration.${topic} PROPERTIES LABELS integration TIMEOUT 120 ENVIRONMENT "${FW_TEST_ENVIRONMENT}")
endfunction()

set(FW_TEST_ENVIRONMENT
  "ASAN_OPTIONS=detect_leaks=1:abort_on_error=1;UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1;TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=${PROJECT_SOURCE_DIR}/cmake/tsan.supp;LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/cmake/lsan.supp")
