foreach(topic audit audit_compare audit_judge cache_record dead_letters glob job_answers job_link job_table lineage purge_job purge_log purge_piece purge_plan purge_plan_model redis_address redis_error redis_url sweep)
  fw_unit_test(workers ${topic} fw::workers)
endforeach()
