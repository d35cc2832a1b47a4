fw_fuzz_target(codec fw::proto)
target_sources(fuzz_codec PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/wire_any.c)
