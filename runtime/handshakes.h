/* handshakes.h - counts connections that never got through ZeroMQ's handshake.
 * SPDX-License-Identifier: MPL-2.0
 * What speaks no ZMTP 3 (noise, HTTP, TLS, a greeting that never ends) is dropped by ZeroMQ without
 * a word to the application; this is how one learns of it. Watches one bound socket and belongs to
 * the thread of that socket. What failed is kept until it is asked for: ask every second. */
#pragma once

#include <czmq.h>

typedef struct fw_handshakes fw_handshakes_t;

/* NULL when the socket cannot be watched. */
fw_handshakes_t *fw_handshakes_new(zsock_t *watched) __attribute__((warn_unused_result));
/* Before the watched socket is destroyed. */
void fw_handshakes_destroy(fw_handshakes_t **self_p);
/* How many have failed since the last call; 0 for NULL. */
uint64_t fw_handshakes_failed(fw_handshakes_t *self);
