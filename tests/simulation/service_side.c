/* service_side.c - publishers and purge workers.   SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/state.h"

/* --- workers */

void sim_worker_job(world_t *w, const sim_packet_t *packet)
{
    sim_packet_t done = {
        .kind = SIM_DONE, .peer = packet->peer, .connection = packet->connection, .id = packet->id};
    if (!w->worker_up[packet->peer])
        return;
    if (sim_in_faults(w) && sim_dice(w, w->chaos)) {
        w->worker_up[packet->peer] = false;
        w->figures->crashes++;
        if (sim_dice(w, 500))
            return; /* before the purge; else after it, which is as good as done but not told */
    }
    if (!(sim_in_faults(w) && sim_dice(w, w->chaos))) {
        if (w->truth.purged_at[packet->number] == 0)
            w->truth.purged_at[packet->number] = sim_redis_us(w);
        done.number = sim_redis_us(w);
    }
    if (!w->worker_up[packet->peer])
        return;
    done.at_us = w->now_us +
                 sim_between(w, 200, sim_in_faults(w) && sim_dice(w, w->chaos) ? 900 * MS : 2 * MS);
    sim_network_send(w->network, &done);
}

/* --- publishers */

static void make_event(world_t *w, publisher_t *publisher)
{
    if (publisher->count == EVENTS_A_PUBLISHER_MAX || w->numbers + 1 >= SIM_EVENTS_MAX)
        return;
    pending_t *pending = &publisher->events[publisher->count++];
    *pending = (pending_t){.number = ++w->numbers, .channels_count = 1, .send_us = w->now_us};
    pending->channels[0] = fw_random_below(&w->random, SIM_CHANNELS);
    pending->channels[1] = (pending->channels[0] + 1) % SIM_CHANNELS;
    if (sim_dice(w, 300))
        pending->channels_count = 2;
    w->truth.purges[pending->number] = sim_dice(w, 500);
    w->figures->events++;
}

static void send_event(world_t *w, size_t number, pending_t *pending)
{
    char id[16], tag[16], data[32];
    fw_text_t audience[2];
    (void)snprintf(id, sizeof id, "e%u", pending->number);
    (void)snprintf(tag, sizeof tag, "t%u", pending->number);
    int size = snprintf(data, sizeof data, "{\"n\":%u}", pending->number);
    fw_text_t tags[] = {fw_text(tag)};
    for (size_t i = 0; i < pending->channels_count; i++)
        audience[i] = fw_text(sim_channel_name(pending->channels[i]));
    fw_message_t message = {.kind = FW_MESSAGE_PUBLISH};
    message.publish.request_id = pending->number;
    message.publish.level = w->bug == SIM_BUG_EARLY_RELEASE ? FW_ACK_ACCEPTED : FW_ACK_PURGED;
    message.publish.event = (fw_event_t){.id = fw_text(id),
                                         .type = FW_TEXT("numbered"),
                                         .data = {.kind = FW_PAYLOAD_JSON,
                                                  .bytes = {(const uint8_t *)data, (size_t)size},
                                                  .type = FW_TEXT_NONE},
                                         .audience = audience,
                                         .audience_count = pending->channels_count,
                                         .exclude = {FW_TEXT_NONE, FW_TEXT_NONE},
                                         .origin = FW_TEXT_NONE,
                                         .user_id = FW_TEXT_NONE,
                                         .traceparent = FW_TEXT_NONE};
    if (w->truth.purges[pending->number])
        message.publish.event.invalidate = (fw_invalidate_t){.tags = tags, .tags_count = 1};
    pending->send_us = w->now_us + RETRY_US;
    if (sim_in_faults(w) && sim_dice(w, w->loss))
        return;
    sim_network_send(w->network, &(sim_packet_t){.at_us = w->now_us + sim_between(w, 100, 5 * MS),
                                                 .kind = SIM_PUBLISH,
                                                 .peer = number,
                                                 .connection = w->broker_life,
                                                 .bytes = fw_codec_encode(
                                                     w->out, FW_LINK_PUBLISHER_UP, &message)});
}

void sim_run_publisher(world_t *w, size_t number)
{
    publisher_t *publisher = &w->publishers[number];
    bool quiet = w->now_us > FAULTS_US && w->now_us < FRESH_US;
    bool over = w->now_us > FRESH_US + 500 * MS;
    if (!quiet && !over && w->now_us >= publisher->next_us) {
        publisher->next_us = w->now_us + sim_between(w, 10 * MS, 120 * MS);
        make_event(w, publisher);
    }
    for (size_t i = 0; i < publisher->count; i++)
        if (!publisher->events[i].acknowledged && w->now_us >= publisher->events[i].send_us)
            send_event(w, number, &publisher->events[i]);
}

void sim_publisher_ack(world_t *w, const sim_packet_t *packet)
{
    fw_message_t message;
    fw_refusal_t refusal;
    publisher_t *publisher = &w->publishers[packet->peer];
    if (fw_codec_decode(w->in, FW_LINK_PUBLISHER_DOWN, packet->bytes, &message, &refusal) < 0 ||
        (message.ack.status != FW_PUBLISH_OK && message.ack.status != FW_PUBLISH_DUPLICATE))
        return;
    uint32_t number = (uint32_t)message.ack.request_id;
    for (size_t i = 0; i < publisher->count; i++)
        if (publisher->events[i].number == number)
            publisher->events[i].acknowledged = true;
    for (size_t i = 0; i < message.ack.positions_count && w->bug != SIM_BUG_EARLY_RELEASE; i++) {
        const fw_channel_position_t *told = &message.ack.positions[i];
        if (sim_truth_at(&w->truth, sim_channel_index(told->channel.text), told->position) !=
            number)
            sim_violation(&w->truth, "event %u was acknowledged at a place it does not have",
                          number);
    }
}
