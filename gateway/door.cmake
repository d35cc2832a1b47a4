# The door: what is looked at before libwebsockets sees it, who may come in, and TLS, for which libwebsockets uses
# OpenSSL.
pkg_check_modules(openssl REQUIRED IMPORTED_TARGET GLOBAL openssl>=3.0)
target_sources(fw_gateway PRIVATE address.c frame_check.c proxy_protocol.c shard_door.c shard_tls.c shard_visitor.c
  shard_watch.c tally.c tls.c tls_read.c)
target_link_libraries(fw_gateway PUBLIC PkgConfig::openssl)
