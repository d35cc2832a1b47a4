foreach(topic glob job_link job_table purge_job purge_plan purge_plan_model redis_address redis_error redis_url slot_map sweep)
  fw_unit_test(workers ${topic} fw::workers)
endforeach()
