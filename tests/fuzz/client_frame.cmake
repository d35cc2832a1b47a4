fw_fuzz_target(client_frame fw::gateway)
fw_fuzz_target(publish_request fw::gateway)
