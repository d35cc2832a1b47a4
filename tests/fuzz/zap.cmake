fw_fuzz_target(zap fw::runtime)
