# What others may ask of live sessions: commands, the desk that passes them on, and the authoriser of rooms.
target_sources(fw_gateway PRIVATE authoriser.c desk.c desk_answer.c dialogue_grants.c grants.c session_line.c session_request.c
  shard_authorise.c shard_sessions.c uplink_sessions.c users.c)
