fw_fuzz_target(token fw::gateway)
fw_fuzz_target(jwks fw::gateway)
