# Tests of runtime/.
foreach(topic actor admin alloc backoff config config_yaml health listen metrics random signals socket)
  fw_unit_test(runtime ${topic} fw::runtime)
endforeach()
foreach(topic json log)
  fw_unit_test(runtime ${topic} fw::runtime PkgConfig::jansson)
endforeach()
