/* dial.h - which address a connecting socket is to connect to now.   SPDX-License-Identifier:
 * MPL-2.0
 * An endpoint that names a host is looked up outside ZeroMQ (runtime/resolve.h) each time a socket
 * is opened, and the socket is given the address. Of several addresses each socket that did not
 * find its peer makes the next one try another; the one that last answered comes first. When the
 * name server is silent or does not know the name any more, the address that last answered is used.
 * Owned by one thread; nothing waits. */
#pragma once

#include <stdint.h>

#include "runtime/resolve.h"

enum {
    FW_DIAL_ENDPOINT_SIZE_MAX = 255,
    FW_DIAL_STALE_MS = 1000, /* so long a name server may take before an old address is used */
};

typedef struct fw_dial fw_dial_t;

/* For one endpoint: tcp://host:port, tcp://[address]:port, ipc://…, inproc://…. 0, or -EINVAL: also
 * for a list, because a socket that connects to two peers would send each a part. */
int fw_dial_new(const char *endpoint, fw_dial_t **ret_dial) __attribute__((warn_unused_result));
void fw_dial_destroy(fw_dial_t **self_p); /* NULL-safe, sets *self_p to NULL; never waits */

/* 0 and the endpoint to connect to, borrowed until the next call; -EINPROGRESS: being looked up,
 * ask again after FW_RESOLVE_POLL_MS; -EHOSTUNREACH: nobody knows the name; -EAGAIN: it cannot be
 * looked up at present. After the last two try again, after a jittered wait. */
int fw_dial_next(fw_dial_t *self, int64_t now_ms, const char **ret_endpoint)
    __attribute__((warn_unused_result));
/* The same, but at the address that leader chose last, when both name the same host: two links that
 * must reach the same process. */
int fw_dial_beside(fw_dial_t *self, const fw_dial_t *leader, int64_t now_ms,
                   const char **ret_endpoint) __attribute__((warn_unused_result));
/* Which of a server's keys (their number modulo their count) the socket opened last should trust:
 * another one whenever every address was tried in vain. */
unsigned fw_dial_server_key(const fw_dial_t *self);
/* The peer at the address chosen last is the right one. */
void fw_dial_answered(fw_dial_t *self);
