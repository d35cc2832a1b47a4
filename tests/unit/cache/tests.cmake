fw_unit_test(cache entry fw::cache)
fw_unit_test(cache policy fw::cache)
