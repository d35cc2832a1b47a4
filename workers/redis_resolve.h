/* redis_resolve.h - a host's address, without waiting for it.   SPDX-License-Identifier: MPL-2.0
 * hiredis looks names up while it connects, which would stop an actor for as long as a name server
 * is dead. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

typedef struct fw_redis_resolve fw_redis_resolve_t;

/* Is the host an address already? */
bool fw_redis_resolve_needed(const char *host);

/* Begins to look a name up. NULL when that cannot even begin. */
fw_redis_resolve_t *fw_redis_resolve_start(const char *host) __attribute__((warn_unused_result));
/* 0 and the first address as text; -EINPROGRESS; -EHOSTUNREACH when the name has none. */
int fw_redis_resolve_result(fw_redis_resolve_t *self, char ret_address[INET6_ADDRSTRLEN])
    __attribute__((warn_unused_result));
/* NULL-safe, sets *self_p to NULL, never waits. A look-up that cannot be called back any more keeps
 * its memory. */
void fw_redis_resolve_destroy(fw_redis_resolve_t **self_p);
