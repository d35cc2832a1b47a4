fw_fuzz_target(glob fw::workers)
