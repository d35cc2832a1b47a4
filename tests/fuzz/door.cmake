fw_fuzz_target(frames fw::gateway)
fw_fuzz_target(door fw::gateway)
