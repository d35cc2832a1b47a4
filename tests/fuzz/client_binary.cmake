fw_fuzz_target(client_binary fw::gateway)
