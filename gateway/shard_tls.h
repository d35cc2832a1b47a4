/* shard_tls.h - TLS in a shard.   SPDX-License-Identifier: MPL-2.0
 * Part of the shard; for nobody else. */
#pragma once

struct lws_context_creation_info;

typedef struct fw_shard fw_shard_t;

/* If it is configured: adds what the library needs to know of it. */
void fw_shard_tls_open(fw_shard_t *self, struct lws_context_creation_info *info);
/* The library has made an SSL_CTX: nonzero when there is no certificate for it. */
int fw_shard_tls_attach(fw_shard_t *self, void *ssl_ctx);
/* Reads the files again; what is wrong with them is logged, and the old certificate stays. */
void fw_shard_tls_reload(fw_shard_t *self);
/* The same, when they have changed. */
void fw_shard_tls_tick(fw_shard_t *self);
void fw_shard_tls_close(fw_shard_t *self);
