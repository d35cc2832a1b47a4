/* keyguard.h - whose connection a message came by, and whether that key may still be here.
 * SPDX-License-Identifier: MPL-2.0
 * ZeroMQ asks about a key once, when a connection is made, and never ends one afterwards. So every
 * message of a bound socket with keys is shown here, and when a key is removed, the connections
 * that it was last seen on are shut down. Which ones these are is known by their descriptors; a
 * descriptor may have passed to another connection in between, so that one of the same door can be
 * cut as well: it connects again. No other descriptor of the process is ever touched.
 * Owned by the thread of the sockets. Sockets inside the process have no key and may do anything.
 */
#pragma once

#include <czmq.h>

#include "runtime/metrics.h"
#include "runtime/security.h"

typedef struct fw_keyguard fw_keyguard_t;

enum {
    FW_KEYGUARD_OVERLAP_MS = 5000
}; /* messages of a closed connection may be read so much later */

/* security and metrics must outlive it. */
fw_keyguard_t *fw_keyguard_new(const fw_security_t *security, fw_metrics_t *metrics)
    __attribute__((warn_unused_result));
void fw_keyguard_destroy(fw_keyguard_t **self_p);
/* bound is a socket of that door: its port tells which connections may be cut. */
void fw_keyguard_watch(fw_keyguard_t *self, fw_domain_t domain, zsock_t *bound);

/* 0 and the sender of a message, which lives until the next fw_keyguard_refresh, or NULL for one in
 * this process; -EACCES: its key may not be here (any more); the message must be dropped. That is
 * counted, and its connection is cut. */
int fw_keyguard_look(fw_keyguard_t *self, fw_domain_t domain, zmq_msg_t *frame, int64_t now_ms,
                     const fw_holder_t **ret_holder) __attribute__((warn_unused_result));
/* The holder of a key now; NULL when it is not let in any more. */
const fw_holder_t *fw_keyguard_holder(const fw_keyguard_t *self, fw_text_t key);

/* When the peers have been replaced: cuts what is not let in any more. Call it once a turn. */
void fw_keyguard_refresh(fw_keyguard_t *self, int64_t now_ms);
