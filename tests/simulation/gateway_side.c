/* gateway_side.c - what a gateway does with the real hub, sessions and cursors.
 * SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/event_json.h"
#include "tests/simulation/state.h"

/* --- gateways: what the uplink does */

static void gateway_send(world_t *w, size_t number, sim_kind_t kind, fw_bytes_t bytes)
{
    gateway_t *gateway = &w->gateways[number];
    int64_t at_us = w->now_us + sim_between(w, 100, kind == SIM_SUBSCRIBE ? 8 * MS : 3 * MS);
    if (kind == SIM_REQUEST && sim_fault(w, SIM_FAULT_LOSS, w->loss))
        return;
    /* Subscriptions keep their order; questions go another way, and may overtake them. */
    if (kind == SIM_SUBSCRIBE) {
        if (at_us < gateway->subscribe_us)
            at_us = gateway->subscribe_us;
        gateway->subscribe_us = at_us;
    }
    sim_network_send(w->network, &(sim_packet_t){.at_us = at_us,
                                                 .kind = kind,
                                                 .peer = number,
                                                 .connection = gateway->connection,
                                                 .bytes = bytes});
}

static void subscribe(world_t *w, size_t number, bool on, const char *topic, size_t size)
{
    uint8_t bytes[64] = {on};
    memcpy(bytes + 1, topic, size);
    gateway_send(w, number, SIM_SUBSCRIBE, (fw_bytes_t){bytes, size + 1});
}

static void ask(world_t *w, size_t number, fw_channel_t *channel)
{
    gateway_t *gateway = &w->gateways[number];
    unsigned needs = fw_sync_needs(&channel->sync);
    fw_text_t name = fw_channel_name(channel);
    fw_message_t message = {0};
    if (needs & FW_SYNC_NEEDS_POSITION) {
        fw_sync_position_asked(&channel->sync, ++gateway->requests, w->now_us / MS);
        message.kind = FW_MESSAGE_POSITIONS_REQUEST;
        message.positions_request = (fw_positions_request_t){gateway->requests, &name, 1};
        gateway_send(w, number, SIM_REQUEST, fw_codec_encode(w->out, FW_LINK_GATEWAY_UP, &message));
    }
    if (needs & FW_SYNC_NEEDS_REPLAY) {
        message.kind = FW_MESSAGE_REPLAY_REQUEST;
        message.replay_request.request_id = ++gateway->requests;
        message.replay_request.channel = name;
        fw_sync_replay_asked(&channel->sync, gateway->requests, w->now_us / MS,
                             &message.replay_request.since, &message.replay_request.limit);
        gateway_send(w, number, SIM_REQUEST, fw_codec_encode(w->out, FW_LINK_GATEWAY_UP, &message));
    }
}

static void drop_resets(world_t *w, browser_t *browser, fw_bytes_t bytes)
{
    if (w->bug == SIM_BUG_SILENT_RESET && memmem(bytes.data, bytes.size, "\"fw.reset\"", 10)) {
        for (size_t i = 0; i < browser->knows.places_count; i++)
            browser->knows.places[i].broken = false;
        return;
    }
    sim_browser_read(&browser->knows, &w->truth, bytes);
    if (w->bug == SIM_BUG_TWICE && sim_dice(w, 20) && !memmem(bytes.data, bytes.size, "\"fw.", 4))
        sim_browser_read(&browser->knows, &w->truth, bytes);
}

static void flush(world_t *w, gateway_t *gateway, fw_session_t *session)
{
    browser_t *browser = session->connection;
    fw_output_t output;
    if (browser->blocked_us > w->now_us)
        return; /* marked again when it drains */
    while (fw_gather_next(gateway->gather, session, FW_GATHER_BYTES_MAX, &output)) {
        drop_resets(w, browser, output.bytes);
        if (sim_fault(w, SIM_FAULT_BROWSER_SLOW, w->chaos)) {
            browser->blocked_us = w->now_us + sim_between(w, 10 * MS, 2000 * MS);
            return;
        }
        if (!output.more)
            break;
    }
}

void sim_run_gateway(world_t *w, size_t number)
{
    gateway_t *gateway = &w->gateways[number];
    fw_topic_change_t change;
    fw_session_t *session;
    uint32_t fence;
    if (gateway->awake_us > w->now_us)
        return;
    if (gateway->connected) {
        while (fw_hub_next_change(gateway->hub, &change))
            subscribe(w, number, change.subscribe, change.topic, FW_TOPIC_SIZE);
        while ((fence = fw_hub_next_fence(gateway->hub)) != 0) {
            char topic[32];
            int size = snprintf(topic, sizeof topic, "~%u", fence);
            if (w->bug != SIM_BUG_NO_FENCE) {
                subscribe(w, number, true, topic, (size_t)size);
                break;
            }
            fw_hub_fenced(gateway->hub, fence);
        }
        for (fw_channel_t *channel = fw_hub_first_needy(gateway->hub); channel;
             channel = fw_hub_next_needy(gateway->hub, channel))
            ask(w, number, channel);
    }
    if (fw_hub_marked(gateway->hub) == 0)
        return;
    while ((session = fw_hub_next_marked(gateway->hub)))
        flush(w, gateway, session);
}

static fw_entry_t *make_entry(world_t *w, const fw_delivery_t *delivery)
{
    char text[1024];
    fw_json_t json = {.buffer = text, .size = sizeof text};
    fw_publication_t publication;
    fw_refusal_t refusal;
    if (fw_codec_decode_publication(w->in, delivery->publication, &publication, &refusal) < 0)
        return NULL;
    fw_event_json(&json, delivery, &publication);
    return fw_entry_new(delivery->position.offset, (fw_bytes_t){(uint8_t *)text, json.needed},
                        &publication.exclude, w->now_us);
}

static void gateway_delivery(world_t *w, gateway_t *gateway, fw_bytes_t body)
{
    fw_delivery_t delivery;
    fw_refusal_t refusal;
    if (fw_codec_decode_delivery(w->in, body, &delivery, &refusal) < 0) {
        sim_violation(&w->truth, "a delivery is refused: %s %s", refusal.field, refusal.reason);
        return;
    }
    fw_channel_t *channel = fw_hub_find(gateway->hub, delivery.channel);
    if (!channel || fw_sync_knows(&channel->sync, delivery.position))
        return;
    fw_entry_t *entry = make_entry(w, &delivery);
    fw_hub_event(gateway->hub, channel, delivery.position.epoch, &entry);
}

static void gateway_beacon(world_t *w, gateway_t *gateway, fw_bytes_t body)
{
    fw_beacon_t beacon;
    fw_refusal_t refusal;
    if (fw_codec_decode_beacon(w->in, body, &beacon, &refusal) < 0) {
        sim_violation(&w->truth, "a beacon is refused: %s %s", refusal.field, refusal.reason);
        return;
    }
    if (gateway->last_beacon && beacon.number != gateway->last_beacon + 1 &&
        w->bug != SIM_BUG_NO_AUDIT) {
        sim_trace(w, "gateway %zu missed a beacon", (size_t)(gateway - w->gateways));
        fw_hub_suspect(gateway->hub);
    }
    gateway->last_beacon = beacon.number;
}

void sim_gateway_event(world_t *w, const sim_packet_t *packet)
{
    gateway_t *gateway = &w->gateways[packet->peer];
    fw_bytes_t frame = packet->bytes;
    size_t beacon_size = sizeof FW_TOPIC_BEACON - 1;
    if (frame.data[0] == FW_TOPIC_FENCE_PREFIX[0])
        fw_hub_fenced(gateway->hub, (uint32_t)strtoul((const char *)frame.data + 1, NULL, 10));
    else if (frame.data[0] == FW_TOPIC_BEACON[0]) {
        gateway_beacon(w, gateway,
                       (fw_bytes_t){frame.data + beacon_size, frame.size - beacon_size});
    } else {
        gateway_delivery(w, gateway,
                         (fw_bytes_t){frame.data + FW_TOPIC_SIZE, frame.size - FW_TOPIC_SIZE});
    }
}

static void gateway_replay(world_t *w, gateway_t *gateway, const fw_replay_reply_t *reply_of)
{
    fw_entry_t *entries[FW_REPLAY_EVENTS_MAX];
    fw_channel_t *channel = fw_hub_find(gateway->hub, reply_of->channel);
    fw_sync_replay_t replay = {.request_id = reply_of->request_id,
                               .complete = reply_of->status == FW_REPLAY_COMPLETE,
                               .reset = reply_of->status == FW_REPLAY_RESET,
                               .visible = reply_of->visible,
                               .entries = entries};
    if (!channel)
        return;
    for (; replay.count < reply_of->deliveries_count; replay.count++)
        entries[replay.count] = make_entry(w, &reply_of->deliveries[replay.count]);
    fw_hub_doubt(channel, reply_of->unconfirmed);
    fw_hub_replayed(gateway->hub, channel, &replay);
}

void sim_gateway_reply(world_t *w, const sim_packet_t *packet)
{
    gateway_t *gateway = &w->gateways[packet->peer];
    fw_message_t message;
    fw_refusal_t refusal;
    if (fw_codec_decode(w->in, FW_LINK_GATEWAY_DOWN, packet->bytes, &message, &refusal) < 0) {
        sim_violation(&w->truth, "a broker's reply is refused: %s", refusal.field);
    } else if (message.kind == FW_MESSAGE_REPLAY_REPLY) {
        gateway_replay(w, gateway, &message.replay_reply);
    } else {
        const fw_positions_reply_t *positions = &message.positions_reply;
        for (size_t i = 0; i < positions->positions_count; i++) {
            fw_channel_t *channel = fw_hub_find(gateway->hub, positions->positions[i].channel);
            if (!channel)
                continue;
            fw_hub_doubt(channel, positions->unconfirmed);
            fw_hub_position(gateway->hub, channel, positions->request_id,
                            positions->positions[i].position);
        }
    }
}
