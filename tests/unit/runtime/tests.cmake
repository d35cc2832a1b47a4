# Tests of runtime/.
foreach(topic actor metrics health)
  fw_unit_test(runtime ${topic} fw::runtime)
endforeach()
