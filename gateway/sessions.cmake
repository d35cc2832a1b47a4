# What others may ask of live sessions: commands, the desk that passes them on, and the authoriser of rooms.
target_sources(fw_gateway PRIVATE desk.c desk_answer.c session_line.c session_request.c shard_sessions.c uplink_sessions.c
  users.c)
