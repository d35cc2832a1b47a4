include(${PROJECT_SOURCE_DIR}/tests/support/worker_world.cmake)
foreach(topic workers_cluster workers_purge workers_link workers_record workers_redis workers_sentinel workers_sweep)
  fw_integration_test(${topic} fw_worker_world)
endforeach()
