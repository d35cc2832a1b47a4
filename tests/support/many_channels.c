/* many_channels.c - see many_channels.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/many_channels.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/uplink.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"

enum {
    CHANNELS_A_SESSION = 1000,
    TICK_MS = 50,
    SLOW_TICK_MS = 1000,
    AUDIT_SECONDS = 30,
    NAME_SIZE = 32,
};

struct many_channels {
    size_t count, sessions_count;
    uv_loop_t loop;
    fw_gateway_metrics_t metrics;
    fw_hub_t *hub;
    fw_uplink_t *uplink;
    fw_session_t **sessions;
    fw_channel_t **channels;
    uint64_t *epochs; /* at the last renewal */
    int64_t ticked_ms, slow_ms;
};

static fw_text_t name_of(size_t channel, char buffer[NAME_SIZE])
{
    (void)snprintf(buffer, NAME_SIZE, "room:%zu", channel);
    return fw_text(buffer);
}

static void ignore_answer(void *context, uint64_t request_id, int error,
                          const fw_publish_ack_t *ack)
{
    (void)context;
    (void)request_id;
    (void)error;
    (void)ack;
}

many_channels_t *many_channels_new(const many_channels_options_t *options)
{
    many_channels_t *self = fw_alloc(1, sizeof *self);
    fw_hub_limits_t limits = {.ring = {256, 1 << 20},
                              .rings_bytes_max = 256 << 20,
                              .linger_ms = 60000,
                              .ping_ms = 25000,
                              .reconnect_window_ms = 2000};
    (void)uv_loop_init(&self->loop);
    fw_gateway_metrics_init(&self->metrics, options->metrics);
    self->hub = fw_hub_new(&limits);
    self->count = options->channels;
    self->sessions_count = (self->count + CHANNELS_A_SESSION - 1) / CHANNELS_A_SESSION;
    self->sessions = fw_alloc(self->sessions_count + 1, sizeof(fw_session_t *));
    self->channels = fw_alloc(self->count + 1, sizeof(fw_channel_t *));
    self->epochs = fw_alloc(self->count + 1, sizeof(uint64_t));
    for (size_t i = 0; i < self->sessions_count; i++)
        self->sessions[i] = fw_session_new(self, i + 1);
    for (size_t i = 0; i < self->count; i++) {
        char name[NAME_SIZE];
        fw_text_t text = name_of(i, name);
        (void)fw_hub_join(self->hub, self->sessions[i / CHANNELS_A_SESSION], text, NULL,
                          FW_TEXT_NONE);
        self->channels[i] = fw_hub_find(self->hub, text);
    }
    fw_uplink_options_t uplink = {.events_endpoint = options->events_endpoint,
                                  .control_endpoint = options->control_endpoint,
                                  .publish_endpoint = options->publish_endpoint,
                                  .security = options->security,
                                  .loop = &self->loop,
                                  .hub = self->hub,
                                  .metrics = &self->metrics,
                                  .published = ignore_answer};
    if (fw_uplink_new(&uplink, fw_clock_ms(), &self->uplink) != 0)
        many_channels_destroy(&self);
    return self;
}

void many_channels_destroy(many_channels_t **self_p)
{
    many_channels_t *self = *self_p;
    if (!self)
        return;
    fw_uplink_destroy(&self->uplink);
    for (size_t i = 0; i < self->sessions_count; i++) {
        fw_hub_part(self->hub, self->sessions[i], 0);
        fw_session_destroy(&self->sessions[i]);
    }
    fw_hub_destroy(&self->hub);
    while (uv_run(&self->loop, UV_RUN_NOWAIT) != 0)
        continue;
    (void)uv_loop_close(&self->loop);
    free(self->sessions);
    free(self->channels);
    free(self->epochs);
    free(self);
    *self_p = NULL;
}

void many_channels_turn(many_channels_t *self)
{
    int64_t now_ms = fw_clock_ms();
    bool more = fw_uplink_turn(self->uplink, now_ms);
    if (now_ms - self->ticked_ms >= TICK_MS) {
        self->ticked_ms = now_ms;
        fw_uplink_tick(self->uplink, now_ms);
    }
    if (now_ms - self->slow_ms >= SLOW_TICK_MS) {
        self->slow_ms = now_ms;
        fw_hub_tick(self->hub, now_ms);
        fw_hub_audit(self->hub, AUDIT_SECONDS);
    }
    (void)fw_hub_marked(self->hub);
    while (fw_hub_next_marked(self->hub))
        continue;
    (void)uv_run(&self->loop, UV_RUN_NOWAIT);
    if (!more)
        (void)poll(NULL, 0, 1);
}

size_t many_channels_live(const many_channels_t *self)
{
    size_t live = 0;
    for (size_t i = 0; i < self->count; i++) {
        const fw_sync_t *sync = &self->channels[i]->sync;
        live += sync->state == FW_SYNC_LIVE && !sync->repair && sync->epoch != self->epochs[i];
    }
    return live;
}

void many_channels_renew(many_channels_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        self->epochs[i] = self->channels[i]->sync.epoch;
}

int64_t many_channels_await(many_channels_t *self, int64_t timeout_ms)
{
    int64_t begin_ms = fw_clock_ms();
    int64_t looked_ms = begin_ms;
    while (fw_clock_ms() - begin_ms < timeout_ms) {
        many_channels_turn(self);
        int64_t now_ms = fw_clock_ms();
        /* Looking at all of them takes a millisecond or two. */
        if (now_ms - looked_ms < TICK_MS)
            continue;
        looked_ms = now_ms;
        if (many_channels_live(self) == self->count)
            return now_ms - begin_ms;
    }
    return -1;
}

static int compare_topics(const void *a, const void *b)
{
    return memcmp(a, b, FW_TOPIC_SIZE);
}

size_t many_channels_topics(const many_channels_t *self)
{
    char(*topics)[FW_TOPIC_SIZE] = fw_alloc(self->count + 1, FW_TOPIC_SIZE);
    size_t distinct = 0;
    for (size_t i = 0; i < self->count; i++)
        fw_channel_topic(fw_channel_name(self->channels[i]), topics[i]);
    qsort(topics, self->count, FW_TOPIC_SIZE, compare_topics);
    for (size_t i = 0; i < self->count; i++)
        distinct += i == 0 || memcmp(topics[i], topics[i - 1], FW_TOPIC_SIZE) != 0;
    free(topics);
    return distinct;
}

uint64_t many_channels_head(const many_channels_t *self, size_t channel)
{
    return fw_ring_head(&self->channels[channel]->sync.ring);
}
