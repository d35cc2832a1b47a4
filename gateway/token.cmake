# Tokens: keys, claims and where they come from.
target_sources(fw_gateway PRIVATE base64url.c cookie.c jwks.c jwks_schedule.c keys.c keys_source.c shard_auth.c token_rules.c)
target_link_libraries(fw_gateway PRIVATE fw::fetch)
