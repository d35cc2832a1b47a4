# Unit tests of the gateway's pure files.
foreach(topic frame ring sync sync_random)
  fw_unit_test(gateway ${topic} fw::gateway)
endforeach()
