fw_fuzz_target(config fw::runtime)
