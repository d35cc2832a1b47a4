foreach(topic entry freshness payload policy purge read rules slot_map)
  fw_unit_test(cache ${topic} fw::cache)
endforeach()

# The model checker: the same machines that the library drives, one Redis command at a time.
set(folder ${PROJECT_SOURCE_DIR}/tests/simulation/cache)
fw_test_program(test_simulation_cache ${folder}/test_simulation_cache.c fw::cache)
target_sources(test_simulation_cache PRIVATE ${folder}/cache_world.c ${folder}/cache_reads.c ${folder}/cache_purges.c
  ${folder}/redis_model.c)
add_test(NAME simulation.cache COMMAND test_simulation_cache)
set_tests_properties(simulation.cache PROPERTIES LABELS unit TIMEOUT 600 ENVIRONMENT "${FW_TEST_ENVIRONMENT}")
foreach(topic freshness read)
  target_sources(test_unit_cache_${topic} PRIVATE ${PROJECT_SOURCE_DIR}/tests/unit/cache/read_world.c
    ${folder}/redis_model.c)
endforeach()
