/* shard_age.c - sessions that are too old are asked to connect again.
 * SPDX-License-Identifier: MPL-2.0
 * So that they spread over replicas that came later. Each has an age of its own, the last fifth of
 * the greatest one apart: those that came together do not go together. */
#include "gateway/shard_internal.h"

enum {
    ROUND_S = 30, /* every session is looked at so often */
};

/* Where a session stands in the last fifth, always the same. */
static int64_t share_of(const fw_session_t *session, int64_t part_ms)
{
    fw_random_t random = {session->id};
    return (int64_t)fw_random_below(&random, (uint64_t)part_ms + 1);
}

static bool is_old(const fw_shard_t *self, const fw_session_t *session, int64_t now_ms)
{
    int64_t part_ms = self->config->connection_age_max_ms / 5;
    return now_ms - (int64_t)session->opened_s * 1000 >= 4 * part_ms + share_of(session, part_ms);
}

void fw_age_tick(fw_shard_t *self, int64_t now_ms)
{
    if (self->config->connection_age_max_ms == 0 || self->drain_began_ms > 0)
        return;
    uint32_t looks = self->sessions / ROUND_S + 1;
    while (looks-- > 0 && self->sessions > 0) {
        uint32_t index = self->aged++ % self->sessions;
        fw_session_t *session = self->all[index];
        if (!is_old(self, session, now_ms))
            continue;
        fw_session_say_drain(session, self->config->reconnect_window_ms);
        fw_shard_close(self, session->connection,
                       (fw_close_t){FW_CLOSE_DRAINING, "connected for long enough"});
    }
}
