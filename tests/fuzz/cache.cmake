fw_fuzz_target(cache_entry fw::cache)
