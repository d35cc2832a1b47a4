/* audit_link.h - hears of purges on the broker's event link.   SPDX-License-Identifier: MPL-2.0
 * Owned by the thread of its loop. Lossy, as the event link is: a purge that is missed is one that
 * is not sampled. */
#pragma once

#include <czmq.h>

#include "proto/link_messages.h"
#include "runtime/security.h"

enum { FW_AUDIT_LINK_SILENCE_MS = 3000 }; /* six beacons missed: another socket */

typedef struct fw_audit_link fw_audit_link_t;

typedef struct {
    const char *endpoint; /* borrowed, as is security */
    const fw_security_t *security;
    uint64_t seed;
    void (*on_purged)(void *context, const fw_purged_t *purged);
    void (*on_refused)(void *context); /* a frame could not be read */
    void *context;
} fw_audit_link_config_t;

fw_audit_link_t *fw_audit_link_new(zloop_t *loop, const fw_audit_link_config_t *config)
    __attribute__((warn_unused_result));
void fw_audit_link_destroy(fw_audit_link_t **self_p); /* NULL-safe */
/* To be called at least every 100 ms. */
void fw_audit_link_tick(fw_audit_link_t *self, int64_t now_ms);
/* Has the broker been heard lately? */
bool fw_audit_link_up(const fw_audit_link_t *self);
