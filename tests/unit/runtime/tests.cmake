# Tests of runtime/.
foreach(topic actor alloc backoff health metrics random signals)
  fw_unit_test(runtime ${topic} fw::runtime)
endforeach()
foreach(topic json log)
  fw_unit_test(runtime ${topic} fw::runtime PkgConfig::jansson)
endforeach()
