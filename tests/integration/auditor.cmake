# What survives its purge.
include(${PROJECT_SOURCE_DIR}/tests/support/worker_world.cmake)
fw_integration_test(auditor fw_worker_world)
