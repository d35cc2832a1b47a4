# What others may ask of live sessions: commands, the desk that passes them on, and the authoriser of rooms.
target_sources(fw_gateway PRIVATE uplink_sessions.c)
