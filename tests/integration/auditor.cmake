# What survives its purge.
include(${PROJECT_SOURCE_DIR}/tests/support/worker_world.cmake)
add_library(fw_audit_world STATIC ${PROJECT_SOURCE_DIR}/tests/support/audit_world.c)
target_link_libraries(fw_audit_world PRIVATE fw_options PUBLIC fw_worker_world)
fw_integration_test(auditor fw_audit_world)
