/* shard_drain.c - how a shard lets its sessions go.   SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <unistd.h>

#include "gateway/shard_internal.h"
#include "runtime/clock.h"

enum { SPREAD_MS_MAX = 60000 };

static fw_close_t drain_close(void)
{
    return (fw_close_t){FW_CLOSE_DRAINING, "draining"};
}

static void close_some(fw_shard_t *self, uint32_t count)
{
    while (count-- > 0 && self->sessions > 0) {
        fw_session_t *session = self->all[self->sessions - 1];
        fw_session_say_drain(session, self->drain_spread_ms);
        fw_shard_close(self, session->connection, drain_close());
    }
}

/* Closes as many sessions as are due, so that all are closed evenly over the window. */
void fw_drain_tick(fw_shard_t *self, int64_t now_ms)
{
    if (self->drain_began_ms == 0 || self->drained)
        return;
    int64_t into_ms = now_ms - self->drain_began_ms - self->config->drain_delay_ms;
    if (self->aborted)
        into_ms = self->config->drain_window_ms;
    if (into_ms >= 0) {
        int64_t left_ms = self->config->drain_window_ms - into_ms;
        int64_t turns = left_ms > 0 ? left_ms / FW_WHEEL_TICK_MS + 1 : 1;
        close_some(self, (uint32_t)((self->sessions + turns - 1) / turns));
    }
    if (into_ms < 0 || self->sessions > 0)
        return;
    if (self->emptied_ms == 0)
        self->emptied_ms = now_ms;
    bool quiet = self->websockets == 0 && self->posts_count == 0;
    if (quiet || now_ms - self->emptied_ms >= FW_FAREWELL_MS) {
        const uint64_t one = 1;
        self->drained = true;
        ssize_t written = write(self->args->drained_fd, &one, sizeof one);
        assert(written == sizeof one);
        (void)written;
    }
}

/* Over how long those who are closed together should come back: as the others can take them, and no
 * less than anybody waits. Only what is closed in one window adds to it. */
static uint32_t spread_ms(const fw_shard_t *self)
{
    const fw_gateway_config_t *config = self->config;
    uint64_t at_once = self->sessions;
    if (config->drain_window_ms > SPREAD_MS_MAX)
        at_once = at_once * SPREAD_MS_MAX / (uint64_t)config->drain_window_ms;
    uint64_t needed_ms = at_once * config->shards * 1000 / config->reconnects_per_second;
    if (needed_ms > SPREAD_MS_MAX)
        needed_ms = SPREAD_MS_MAX;
    return needed_ms > config->reconnect_window_ms ? (uint32_t)needed_ms
                                                   : config->reconnect_window_ms;
}

void fw_drain_begin(fw_shard_t *self)
{
    if (self->drain_began_ms > 0)
        return;
    self->drain_began_ms = fw_clock_ms();
    self->drain_spread_ms = spread_ms(self);
}

void fw_drain_aborted(uv_poll_t *poll, int status, int events)
{
    fw_shard_t *self = poll->data;
    (void)status;
    (void)events;
    (void)uv_poll_stop(poll);
    self->aborted = true;
    self->drain_spread_ms = spread_ms(self);
    close_some(self, UINT32_MAX);
}
