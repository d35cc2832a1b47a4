/* broker_side.c - the real core, its store, and what it sends.   SPDX-License-Identifier: MPL-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store_memory.h"
#include "tests/simulation/state.h"

/* --- sending to gateways: two links that keep their order, unless the world is unkind */

void sim_send_to_gateway(world_t *w, size_t number, sim_kind_t kind, fw_bytes_t bytes)
{
    gateway_t *gateway = &w->gateways[number];
    int64_t *last_us = &gateway->links_us[kind == SIM_REPLY];
    int64_t at_us = w->now_us + sim_between(w, 100, sim_dice(w, 50) ? 300 * MS : 3 * MS);
    bool unkind = sim_in_faults(w) && kind == SIM_EVENT && sim_dice(w, w->loss / 4);
    if (!gateway->connected)
        return;
    if (sim_in_faults(w) && sim_dice(w, w->loss)) {
        w->figures->lost++;
        return;
    }
    if (!unkind && at_us < *last_us)
        at_us = *last_us;
    *last_us = at_us > *last_us ? at_us : *last_us;
    sim_packet_t packet = {.at_us = at_us,
                           .kind = kind,
                           .peer = number,
                           .connection = gateway->connection,
                           .bytes = bytes};
    sim_network_send(w->network, &packet);
    if (unkind)
        sim_network_send(w->network, &packet); /* and twice */
}

static void reply(world_t *w, size_t gateway, const fw_message_t *message)
{
    sim_send_to_gateway(w, gateway, SIM_REPLY,
                        fw_codec_encode(w->out, FW_LINK_GATEWAY_DOWN, message));
}

static void broadcast(world_t *w, fw_bytes_t frame)
{
    for (size_t g = 0; g < GATEWAYS; g++)
        for (size_t t = 0; t < w->gateways[g].topics_count; t++)
            if (memcmp(w->gateways[g].topics[t], frame.data, FW_TOPIC_SIZE) == 0)
                sim_send_to_gateway(w, g, SIM_EVENT, frame);
}

/* --- the broker's output */

static fw_bytes_t encode_publication(fw_codec_t *codec, uint32_t number)
{
    char data[32];
    int size = snprintf(data, sizeof data, "{\"n\":%u}", number);
    fw_event_t event = {.id = FW_TEXT_NONE,
                        .type = FW_TEXT("numbered"),
                        .data = {.kind = FW_PAYLOAD_JSON,
                                 .bytes = {(const uint8_t *)data, (size_t)size},
                                 .type = FW_TEXT_NONE},
                        .exclude = {FW_TEXT_NONE, FW_TEXT_NONE},
                        .origin = FW_TEXT_NONE,
                        .user_id = FW_TEXT_NONE,
                        .traceparent = FW_TEXT_NONE};
    return fw_codec_encode_publication(codec, &event);
}

static uint32_t number_in(world_t *w, fw_bytes_t publication)
{
    fw_publication_t decoded;
    fw_refusal_t refusal;
    if (fw_codec_decode_publication(w->in, publication, &decoded, &refusal) < 0)
        return UINT32_MAX;
    return (uint32_t)strtoul((const char *)decoded.data.bytes.data + 5, NULL, 10);
}

static void on_deliver(void *context, const fw_delivery_t *delivery)
{
    world_t *w = context;
    size_t channel = sim_channel_index(delivery->channel.text);
    sim_truth_released(&w->truth, channel, delivery->position, number_in(w, delivery->publication));
    w->figures->releases++;
    broadcast(w, fw_codec_encode_event_frame(w->out, delivery));
}

/* The planted bug: gateways hear of an event as soon as it has its place. */
static void release_early(world_t *w, const fw_publish_ack_t *ack)
{
    fw_codec_t *codec = fw_codec_new();
    uint32_t number = (uint32_t)strtoul(ack->id.text + 1, NULL, 10);
    fw_bytes_t publication = encode_publication(codec, number);
    for (size_t i = 0; i < ack->positions_count; i++) {
        fw_delivery_t delivery = {.channel = ack->positions[i].channel,
                                  .position = ack->positions[i].position,
                                  .fresh = sim_redis_us(w),
                                  .publication = publication};
        broadcast(w, fw_codec_encode_event_frame(w->out, &delivery));
    }
    fw_codec_destroy(&codec);
}

static void on_acknowledge(void *context, const fw_peer_t *publisher, const fw_publish_ack_t *ack)
{
    world_t *w = context;
    fw_message_t message = {.kind = FW_MESSAGE_PUBLISH_ACK, .ack = *ack};
    if (w->bug == SIM_BUG_EARLY_RELEASE)
        release_early(w, ack);
    if (sim_in_faults(w) && sim_dice(w, w->loss))
        return;
    sim_network_send(w->network, &(sim_packet_t){.at_us = w->now_us + sim_between(w, 100, 5 * MS),
                                                 .kind = SIM_ACK,
                                                 .peer = publisher->id[1],
                                                 .connection = w->broker_life,
                                                 .bytes = fw_codec_encode(
                                                     w->out, FW_LINK_PUBLISHER_DOWN, &message)});
}

static int on_send_job(void *context, const fw_peer_t *worker, const fw_job_t *job)
{
    world_t *w = context;
    uint64_t mutation = 0;
    if (job->invalidate.tags_count > 0)
        mutation = strtoull(job->invalidate.tags[0].text + 1, NULL, 10);
    sim_network_send(w->network, &(sim_packet_t){.at_us = w->now_us + sim_between(w, 100, 2 * MS),
                                                 .kind = SIM_JOB,
                                                 .peer = worker->id[1],
                                                 .connection = w->broker_life,
                                                 .id = job->job_id,
                                                 .number = mutation});
    return 0;
}

static void on_alarm(void *context)
{
    ((world_t *)context)->beacons++;
}

static fw_store_t *make_store(const void *options, const fw_store_answers_t *answers)
{
    return fw_store_memory_new(options, answers);
}

void sim_start_broker(world_t *w)
{
    fw_core_options_t options = {.credit = 1000,
                                 .barrier_first_us = 200 * MS,
                                 .barrier_timeout_us = 500 * MS,
                                 .hold_timeout_us = 2000 * MS,
                                 .open_timeout_us = 0,
                                 .held_max = 1000,
                                 .jobs_max = 1000,
                                 .held_bytes_max = 1 << 26,
                                 .jobs_bytes_max = 1 << 26,
                                 .dedupe_bytes_max = 1 << 26,
                                 .dedupe_us = 300000 * (int64_t)MS,
                                 .dedupe_max = 100000,
                                 .lease_us = 2000 * MS,
                                 .retry_base_us = 50 * MS,
                                 .retry_us_max = 5000 * MS,
                                 .silence_us_max = 3000 * MS,
                                 .seed = fw_random_next(&w->random)};
    fw_policy_t fallback = {sim_dice(w, 300) ? 8 : 200, 1 << 20, INT64_MAX / 4, false};
    fw_config_error_t error;
    fw_policies_destroy(&w->policies);
    if (fw_policies_new(NULL, 0, &fallback, &w->policies, &error) != 0)
        abort();
    options.policies = w->policies;
    fw_store_memory_options_t store = {.policies = w->policies,
                                       .bytes_max = 1 << 22,
                                       .idle_us_max = INT64_MAX / 4,
                                       .channels_max = 1000,
                                       .seed = fw_random_next(&w->random)};
    fw_core_output_t output = {w, on_acknowledge, on_send_job, on_deliver, on_alarm};
    w->core = fw_core_new(&options, &output, make_store, &store, w->metrics, w->now_us);
    w->broker_life++;
    w->beacons = 0;
}

/* --- the broker's input */

static void note_read(void *context, fw_store_read_t *read)
{
    (void)context;
    (void)read;
}

void sim_note_located(void *context, fw_store_positions_t *positions)
{
    (void)context;
    (void)positions;
}

static void answer_positions(world_t *w, size_t gateway, const fw_positions_request_t *request)
{
    fw_position_t visible[FW_POSITIONS_MAX];
    fw_channel_position_t list[FW_POSITIONS_MAX];
    fw_store_positions_t ask = {.channels = request->channels,
                                .channels_count = request->channels_count,
                                .ret_visible = visible,
                                .answer = sim_note_located};
    fw_store_positions(fw_core_store(w->core), &ask);
    for (size_t i = 0; i < request->channels_count; i++)
        list[i] = (fw_channel_position_t){request->channels[i], visible[i]};
    reply(w, gateway,
          &(fw_message_t){.kind = FW_MESSAGE_POSITIONS_REPLY,
                          .positions_reply = {request->request_id, list, request->channels_count}});
}

static void answer_replay(world_t *w, size_t gateway, const fw_replay_request_t *request)
{
    fw_store_event_t events[FW_REPLAY_EVENTS_MAX];
    fw_delivery_t deliveries[FW_REPLAY_EVENTS_MAX];
    fw_store_read_t read = {.channel = request->channel,
                            .since = request->since,
                            .limit = request->limit,
                            .ret_events = events,
                            .answer = note_read};
    fw_store_read(fw_core_store(w->core), &read);
    for (size_t i = 0; i < read.ret_count; i++)
        deliveries[i] = (fw_delivery_t){.channel = request->channel,
                                        .position = events[i].position,
                                        .fresh = events[i].fresh,
                                        .unconfirmed = events[i].unconfirmed,
                                        .publication = fw_blob_bytes(events[i].publication)};
    w->figures->replays++;
    reply(w, gateway,
          &(fw_message_t){.kind = FW_MESSAGE_REPLAY_REPLY,
                          .replay_reply = {request->request_id, request->channel, read.ret_status,
                                           read.ret_visible, deliveries, read.ret_count}});
}

void sim_broker_request(world_t *w, const sim_packet_t *packet)
{
    fw_message_t message;
    fw_refusal_t refusal;
    if (fw_codec_decode(w->in, FW_LINK_GATEWAY_UP, packet->bytes, &message, &refusal) < 0)
        sim_violation(&w->truth, "a gateway's request is refused: %s %s", refusal.field,
                      refusal.reason);
    else if (message.kind == FW_MESSAGE_POSITIONS_REQUEST)
        answer_positions(w, packet->peer, &message.positions_request);
    else
        answer_replay(w, packet->peer, &message.replay_request);
}

void sim_broker_subscribe(world_t *w, const sim_packet_t *packet)
{
    gateway_t *gateway = &w->gateways[packet->peer];
    fw_bytes_t topic = {packet->bytes.data + 1, packet->bytes.size - 1};
    if (topic.data[0] == FW_TOPIC_FENCE_PREFIX[0]) {
        sim_send_to_gateway(w, packet->peer, SIM_EVENT, topic);
        return;
    }
    size_t at = 0;
    while (at < gateway->topics_count &&
           memcmp(gateway->topics[at], topic.data, FW_TOPIC_SIZE) != 0)
        at++;
    if (packet->bytes.data[0] && at == gateway->topics_count && at < TOPICS_MAX)
        memcpy(gateway->topics[gateway->topics_count++], topic.data, FW_TOPIC_SIZE);
    else if (!packet->bytes.data[0] && at < gateway->topics_count)
        memmove(gateway->topics[at], gateway->topics[--gateway->topics_count], FW_TOPIC_SIZE);
}

void sim_broker_publish(world_t *w, const sim_packet_t *packet)
{
    fw_message_t message;
    fw_refusal_t refusal;
    fw_peer_t peer = sim_peer_of('p', packet->peer, 0);
    if (fw_codec_decode(w->in, FW_LINK_PUBLISHER_UP, packet->bytes, &message, &refusal) < 0 ||
        fw_event_check(&message.publish.event, &refusal) < 0)
        sim_violation(&w->truth, "an event is refused: %s %s", refusal.field, refusal.reason);
    else
        fw_core_publish(w->core, &peer, &message.publish, w->now_us, 1);
}

void sim_broker_done(world_t *w, const sim_packet_t *packet)
{
    fw_peer_t peer = sim_peer_of('w', packet->peer, 0);
    fw_job_done_t done = {.job_id = packet->id, .redis_time = packet->number};
    fw_job_failed_t failed = {.job_id = packet->id, .retryable = true, .reason = FW_TEXT_NONE};
    if (packet->number)
        fw_core_job_done(w->core, &peer, &done, w->now_us);
    else
        fw_core_job_failed(w->core, &peer, &failed, w->now_us);
}
