# The door: what is looked at before libwebsockets sees it, and who may come in.
target_sources(fw_gateway PRIVATE address.c frame_check.c proxy_protocol.c shard_door.c shard_visitor.c
  shard_watch.c tally.c)
