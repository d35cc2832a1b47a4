# Tokens: keys, claims and where they come from.
target_sources(fw_gateway PRIVATE base64url.c cookie.c jwks_schedule.c keys.c keys_source.c shard_auth.c token_rules.c)
