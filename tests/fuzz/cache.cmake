fw_fuzz_target(cache_entry fw::cache)
fw_fuzz_target(cache_read fw::cache)
