/* shard_degraded.c - a shard without its broker keeps its sessions and says so.
 * SPDX-License-Identifier: MPL-2.0
 * It stays ready, too: a broker that is gone would otherwise make all gateways unready at once, and
 * nobody could connect anywhere. */
#include "gateway/shard_internal.h"

enum { DEGRADED_MS = 3000 }; /* shorter is a broker that restarts */

static void tell(fw_shard_t *self, bool degraded)
{
    self->degraded = degraded;
    fw_condition_set(self->args->degraded, degraded);
    fw_gauge_add(self->metrics.degraded, degraded ? 1 : -1);
    fw_hub_set_told(self->hub, (uint32_t)self->config->ping_ms, self->config->reconnect_window_ms,
                    degraded);
    for (uint32_t i = 0; i < self->sessions; i++) {
        fw_session_t *session = self->all[i];
        if (session->state != FW_SESSION_OPEN)
            continue; /* its welcome will say so */
        fw_session_say_degraded(session, degraded);
        fw_hub_mark(self->hub, session);
    }
}

void fw_degraded_tick(fw_shard_t *self, bool connected, int64_t now_ms)
{
    if (connected)
        self->unlinked_ms = 0;
    else if (self->unlinked_ms == 0)
        self->unlinked_ms = now_ms;
    bool degraded = !connected && now_ms - self->unlinked_ms >= DEGRADED_MS;
    if (degraded && !self->degraded)
        tell(self, true);
    else if (connected && self->degraded)
        tell(self, false);
}
