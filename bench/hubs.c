/* hubs.c - see hubs.h.   SPDX-License-Identifier: MPL-2.0 */
#include "bench/hubs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/event_json.h"

enum { NAME_SIZE = 32, EPOCH = 1, NOW_MS = 1000, CHANNELS_A_SESSION = 1000 };

struct bench_hub {
    fw_hub_t *hub;
    fw_session_t **sessions;
    size_t sessions_count;
    fw_codec_t *out, *in;
    size_t channels;
    uint64_t requests;
    fw_delivery_t deliveries[FW_REPLAY_EVENTS_MAX];
    fw_entry_t *entries[FW_REPLAY_EVENTS_MAX];
};

static fw_text_t name_of(size_t channel, char *buffer)
{
    (void)snprintf(buffer, NAME_SIZE, "room:%zu", channel);
    return fw_text(buffer);
}

/* Every channel asks where it stands, in one question; then each is answered. */
static void answer_positions(bench_hub_t *self, uint64_t visible)
{
    char name[NAME_SIZE];
    self->requests++;
    for (fw_channel_t *channel = fw_hub_first_needy(self->hub); channel;
         channel = fw_hub_next_needy(self->hub, channel))
        if (fw_sync_needs(&channel->sync) & FW_SYNC_NEEDS_POSITION)
            fw_sync_position_asked(&channel->sync, self->requests, NOW_MS);
    for (size_t i = 0; i < self->channels; i++)
        fw_hub_position(self->hub, fw_hub_find(self->hub, name_of(i, name)), self->requests,
                        (fw_position_t){EPOCH, visible});
}

bench_hub_t *bench_hub_new(size_t channels)
{
    fw_hub_limits_t limits = {.ring = {4096, (size_t)4 << 20},
                              .rings_bytes_max = (size_t)4 << 30,
                              .linger_ms = 60000,
                              .ping_ms = 25000,
                              .reconnect_window_ms = 2000};
    bench_hub_t *self = calloc(1, sizeof *self);
    char name[NAME_SIZE];
    fw_topic_change_t change;
    if (!self)
        exit(1);
    self->hub = fw_hub_new(&limits);
    self->sessions_count = (channels + CHANNELS_A_SESSION - 1) / CHANNELS_A_SESSION;
    self->sessions = calloc(self->sessions_count, sizeof(fw_session_t *));
    for (size_t i = 0; i < self->sessions_count; i++)
        self->sessions[i] = fw_session_new(self, i + 1);
    self->out = fw_codec_new();
    self->in = fw_codec_new();
    self->channels = channels;
    for (size_t i = 0; i < channels; i++)
        (void)fw_hub_join(self->hub, self->sessions[i / CHANNELS_A_SESSION], name_of(i, name), NULL,
                          FW_TEXT_NONE);
    while (fw_hub_next_change(self->hub, &change))
        ;
    fw_hub_fenced(self->hub, fw_hub_next_fence(self->hub));
    answer_positions(self, 0);
    return self;
}

void bench_hub_destroy(bench_hub_t **self_p)
{
    bench_hub_t *self = *self_p;
    for (size_t i = 0; i < self->sessions_count; i++) {
        fw_hub_part(self->hub, self->sessions[i], NOW_MS);
        fw_session_destroy(&self->sessions[i]);
    }
    free(self->sessions);
    fw_hub_destroy(&self->hub);
    fw_codec_destroy(&self->out);
    fw_codec_destroy(&self->in);
    free(self);
    *self_p = NULL;
}

void bench_hub_fall_behind(bench_hub_t *self, uint64_t visible)
{
    fw_hub_suspect(self->hub);
    answer_positions(self, visible);
}

/* --- frames */

static fw_delivery_t delivery_of(bench_hub_t *self, fw_text_t name, uint64_t offset)
{
    static const char data[] = "{\"id\":\"42\",\"name\":\"A project with a name\",\"version\":17}";
    fw_event_t event = {.id = FW_TEXT("0123456789abcdef"),
                        .type = FW_TEXT("project_updated"),
                        .data = {.kind = FW_PAYLOAD_JSON,
                                 .bytes = {(const uint8_t *)data, sizeof data - 1},
                                 .type = FW_TEXT_NONE},
                        .exclude = {FW_TEXT_NONE, FW_TEXT_NONE},
                        .origin = FW_TEXT("tab-7"),
                        .user_id = FW_TEXT("9"),
                        .ts = 1732270000123,
                        .traceparent = FW_TEXT_NONE};
    return (fw_delivery_t){.channel = name,
                           .position = {EPOCH, offset},
                           .fresh = 1732270000123456,
                           .publication = fw_codec_encode_publication(self->in, &event)};
}

fw_bytes_t bench_hub_event_frame(bench_hub_t *self, size_t channel, uint64_t offset)
{
    char name[NAME_SIZE];
    fw_delivery_t delivery = delivery_of(self, name_of(channel, name), offset);
    return fw_codec_encode_event_frame(self->out, &delivery);
}

fw_bytes_t bench_hub_replay_frame(bench_hub_t *self, size_t channel, uint64_t count)
{
    char name[NAME_SIZE];
    fw_text_t text = name_of(channel, name);
    fw_position_t since = {0};
    uint32_t limit = 0;
    fw_channel_t *of = fw_hub_find(self->hub, text);
    fw_sync_replay_asked(&of->sync, ++self->requests, NOW_MS, &since, &limit);
    for (uint64_t i = 0; i < count; i++)
        self->deliveries[i] = delivery_of(self, text, i + 1);
    fw_message_t message = {.kind = FW_MESSAGE_REPLAY_REPLY,
                            .replay_reply = {.request_id = self->requests,
                                             .channel = text,
                                             .status = FW_REPLAY_COMPLETE,
                                             .visible = {EPOCH, count},
                                             .deliveries = self->deliveries,
                                             .deliveries_count = count}};
    return fw_codec_encode(self->out, FW_LINK_GATEWAY_DOWN, &message);
}

/* --- what the uplink does */

static fw_entry_t *entry_of(bench_hub_t *self, const fw_delivery_t *delivery)
{
    char text[1024];
    fw_json_t json = {.buffer = text, .size = sizeof text};
    fw_publication_t publication;
    fw_refusal_t refusal;
    if (fw_codec_decode_publication(self->in, delivery->publication, &publication, &refusal) < 0)
        exit(1);
    fw_event_json(&json, delivery, &publication);
    return fw_entry_new(delivery->position.offset, (fw_bytes_t){(uint8_t *)text, json.needed},
                        &publication.exclude, NOW_MS * INT64_C(1000));
}

void bench_hub_take_event(bench_hub_t *self, fw_bytes_t frame)
{
    fw_delivery_t delivery;
    fw_refusal_t refusal;
    fw_bytes_t body = {frame.data + FW_TOPIC_SIZE, frame.size - FW_TOPIC_SIZE};
    if (fw_codec_decode_delivery(self->in, body, &delivery, &refusal) < 0)
        exit(1);
    fw_channel_t *channel = fw_hub_find(self->hub, delivery.channel);
    if (!channel || fw_sync_knows(&channel->sync, delivery.position))
        return;
    fw_entry_t *entry = entry_of(self, &delivery);
    fw_hub_event(self->hub, channel, delivery.position.epoch, &entry);
}

void bench_hub_take_replay(bench_hub_t *self, fw_bytes_t frame)
{
    fw_message_t message;
    fw_refusal_t refusal;
    if (fw_codec_decode(self->in, FW_LINK_GATEWAY_DOWN, frame, &message, &refusal) < 0)
        exit(1);
    const fw_replay_reply_t *reply = &message.replay_reply;
    fw_sync_replay_t replay = {.request_id = reply->request_id,
                               .complete = true,
                               .visible = reply->visible,
                               .entries = self->entries};
    fw_channel_t *channel = fw_hub_find(self->hub, reply->channel);
    for (; replay.count < reply->deliveries_count; replay.count++)
        self->entries[replay.count] = entry_of(self, &reply->deliveries[replay.count]);
    fw_hub_replayed(self->hub, channel, &replay);
}

uint64_t bench_hub_head(bench_hub_t *self, size_t channel)
{
    char name[NAME_SIZE];
    return fw_channel_head(fw_hub_find(self->hub, name_of(channel, name))).offset;
}
