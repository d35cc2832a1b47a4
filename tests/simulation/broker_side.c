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
    bool unkind = kind == SIM_EVENT && sim_fault(w, SIM_FAULT_LOSS, w->loss / 4);
    bool full =
        kind == SIM_EVENT && gateway->awake_us > w->now_us && gateway->on_the_way >= EVENT_HWM;
    if (!gateway->connected)
        return;
    if (full || sim_fault(w, SIM_FAULT_LOSS, w->loss)) {
        w->figures->lost++;
        return;
    }
    if (at_us < gateway->awake_us)
        at_us = gateway->awake_us;
    if (!unkind && at_us < *last_us)
        at_us = *last_us;
    *last_us = at_us > *last_us ? at_us : *last_us;
    sim_packet_t packet = {.at_us = at_us,
                           .kind = kind,
                           .peer = number,
                           .connection = gateway->connection,
                           .bytes = bytes};
    gateway->on_the_way += kind == SIM_EVENT ? 1 + unkind : 0;
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
    for (size_t g = 0; g < GATEWAYS; g++) {
        for (size_t t = 0; t < w->gateways[g].topics_count; t++)
            if (memcmp(w->gateways[g].topics[t], frame.data, FW_TOPIC_SIZE) == 0)
                sim_send_to_gateway(w, g, SIM_EVENT, frame);
    }
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

/* P1 and the barrier's times, at the moment of the release. */
static void check_release(world_t *w, const fw_delivery_t *delivery, uint32_t number)
{
    const sim_event_t *event = &w->truth.events[number];
    int64_t held_us = w->now_us - event->accepted_us;
    fw_text_t channel = delivery->channel;
    if (!event->purges)
        return;
    if (!delivery->unconfirmed && event->purged_at == 0)
        sim_violation(&w->truth, "event %u is released before its purge", number);
    if (!delivery->unconfirmed && sim_backend_is_stale(&w->backend, event->object, number))
        sim_violation(&w->truth, "event %u is released while the cache serves an older version",
                      number);
    int64_t patience_us = fw_policies_find(w->policies, channel)->hold ? HOLD_US : BARRIER_US;
    if (delivery->unconfirmed && held_us < patience_us)
        sim_violation(&w->truth, "event %u is released unconfirmed after %lld ms only", number,
                      (long long)held_us / MS);
}

static void on_deliver(void *context, const fw_delivery_t *released)
{
    world_t *w = context;
    fw_delivery_t delivery = *released;
    size_t channel = sim_channel_index(delivery.channel.text);
    uint32_t number = number_in(w, delivery.publication);
    sim_event_t *event = &w->truth.events[number];
    if (w->bug == SIM_BUG_UNMARKED && delivery.unconfirmed) {
        delivery.unconfirmed = false;
        delivery.fresh = sim_redis_time(&w->backend);
    }
    sim_trace(w, "%s %llu: event %u released%s", delivery.channel.text,
              (unsigned long long)delivery.position.offset, number,
              delivery.unconfirmed ? " unconfirmed" : "");
    sim_truth_released(&w->truth, channel, delivery.position, number);
    check_release(w, &delivery, number);
    event->released = true;
    event->unconfirmed |= event->purges && delivery.unconfirmed;
    w->figures->releases++;
    w->figures->unconfirmed += delivery.unconfirmed;
    broadcast(w, fw_codec_encode_event_frame(w->out, &delivery));
}

/* The planted bug: gateways hear of an event as soon as it has its place. */
static void release_early(world_t *w, const fw_publish_ack_t *ack)
{
    uint32_t number = (uint32_t)strtoul(ack->id.text + 1, NULL, 10);
    fw_bytes_t publication = encode_publication(w->spare, number);
    for (size_t i = 0; i < ack->positions_count; i++) {
        fw_delivery_t delivery = {.channel = ack->positions[i].channel,
                                  .position = ack->positions[i].position,
                                  .fresh = sim_redis_time(&w->backend),
                                  .publication = publication};
        broadcast(w, fw_codec_encode_event_frame(w->out, &delivery));
    }
}

static void note_unreleased(world_t *w, const fw_publish_ack_t *ack)
{
    for (size_t i = 0; i < ack->positions_count; i++) {
        size_t channel = sim_channel_index(ack->positions[i].channel.text);
        w->unreleased[channel].at = ack->positions[i];
        w->unreleased[channel].at.channel = fw_text(sim_channel_name(channel));
        w->unreleased[channel].number = (uint32_t)strtoul(ack->id.text + 1, NULL, 10);
    }
}

static void on_acknowledge(void *context, const fw_peer_t *publisher, const fw_publish_ack_t *ack)
{
    world_t *w = context;
    fw_message_t message = {.kind = FW_MESSAGE_PUBLISH_ACK, .ack = *ack};
    if (w->bug == SIM_BUG_EARLY_RELEASE)
        release_early(w, ack);
    if (w->bug == SIM_BUG_REPLAY_PAST_VISIBLE)
        note_unreleased(w, ack);
    if (sim_fault(w, SIM_FAULT_LOSS, w->loss))
        return;
    sim_network_send(w->network, &(sim_packet_t){.at_us = w->now_us + sim_between(w, 100, 5 * MS),
                                                 .kind = SIM_ACK,
                                                 .peer = publisher->id[1],
                                                 .connection = w->truth.life,
                                                 .bytes = fw_codec_encode(
                                                     w->out, FW_LINK_PUBLISHER_DOWN, &message)});
}

static int on_send_job(void *context, const fw_peer_t *worker, const fw_job_t *job)
{
    world_t *w = context;
    uint64_t number = 0;
    if (job->invalidate.tags_count > 0)
        number = strtoull(job->invalidate.tags[0].text + 1, NULL, 10);
    else if (job->broker.size > 0)
        number = job->broker.data[0];
    sim_network_send(w->network, &(sim_packet_t){.at_us = w->now_us + sim_between(w, 100, 2 * MS),
                                                 .kind = SIM_JOB,
                                                 .peer = worker->id[1],
                                                 .connection = w->truth.life,
                                                 .life = worker->id[2],
                                                 .id = job->job_id,
                                                 .action = (int)job->cache_action,
                                                 .number = number});
    return 0;
}

/* Gateways take a hole in the beacons for lost events. */
static void on_alarm(void *context)
{
    world_t *w = context;
    sim_trace(w, "channels are reset");
    sim_truth_new_era(&w->truth, false);
    w->beacons++;
}

/* --- the fire-and-forget link */

static void on_ask(void *context, const fw_fire_missing_t *missing)
{
    world_t *w = context;
    size_t number = missing->incarnation.data[0] - 1;
    sim_network_send(w->network, &(sim_packet_t){.at_us = w->now_us + sim_between(w, 100, 5 * MS),
                                                 .kind = SIM_ASK,
                                                 .peer = number,
                                                 .connection = w->fires[number].connection,
                                                 .id = missing->first,
                                                 .number = missing->count});
}

static void on_lost(void *context, fw_text_t user, uint64_t count)
{
    const fw_text_t everything = FW_TEXT("*");
    world_t *w = context;
    sim_trace(w, "%llu fire-and-forget events of %s are given up", (unsigned long long)count,
              user.text);
    w->figures->given_up += count;
    sim_fire_lost(w, (size_t)(user.text[0] - '0'));
    if (w->bug != SIM_BUG_SILENT_LOSS)
        fw_core_lost(w->core, &everything, 1, w->now_us);
}

static fw_text_t user_of(size_t number)
{
    static const char *const users[FIRE_PUBLISHERS] = {"0", "1"};
    return fw_text(users[number]);
}

static void take_in(world_t *w, const fw_peer_t *peer, const fw_publish_t *publish, uint32_t number)
{
    sim_event_t *event = &w->truth.events[number];
    if (event->accepted_us == 0)
        event->accepted_us = w->now_us;
    fw_core_publish(w->core, peer, publish, w->now_us, 1);
}

void sim_broker_fire(world_t *w, const sim_packet_t *packet)
{
    fw_message_t message;
    fw_refusal_t refusal;
    fire_t *fire = &w->fires[packet->peer];
    if (fw_codec_decode(w->in, FW_LINK_PUBLISHER_UP, packet->bytes, &message, &refusal) < 0) {
        sim_violation(&w->truth, "an event is refused: %s %s", refusal.field, refusal.reason);
    } else if (message.kind == FW_MESSAGE_FIRE_MARK) {
        fw_fire_gaps_mark(w->gaps, &message.fire_mark, user_of(packet->peer), w->now_us);
    } else {
        const fw_publish_t *publish = &message.publish;
        fw_fire_verdict_t verdict = fw_fire_gaps_event(
            w->gaps, publish->incarnation, publish->sequence, user_of(packet->peer), w->now_us);
        w->figures->repaired += verdict == FW_FIRE_REPAIRED;
        if (verdict == FW_FIRE_REPEATED)
            return;
        fire->arrived[publish->sequence - 1] = true;
        take_in(w, NULL, publish, fire->events[publish->sequence - 1].number);
    }
}

/* --- life */

static fw_store_t *make_store(const void *options, const fw_store_answers_t *answers)
{
    return fw_store_memory_new(options, answers);
}

static void make_policies(world_t *w)
{
    static const char *const rules[] = {"room:2 barrier=hold", "user:* history_events=6"};
    fw_policy_t fallback = {w->history_max, 1 << 20, INT64_MAX / 4, false};
    fw_config_error_t error;
    fw_policies_destroy(&w->policies);
    if (fw_policies_new(rules, 2, &fallback, &w->policies, &error) != 0)
        abort();
}

void sim_start_broker(world_t *w)
{
    fw_core_options_t options = {.credit = 1000,
                                 .barrier_first_us = 200 * MS,
                                 .barrier_timeout_us = BARRIER_US,
                                 .hold_timeout_us = HOLD_US,
                                 .open_timeout_us = w->open_timeout_us,
                                 .held_max = 1000,
                                 .held_bytes_max = 1 << 26,
                                 .jobs_bytes_max = 1 << 26,
                                 .dedupe_bytes_max = 1 << 26,
                                 .jobs_max = w->jobs_max,
                                 .dedupe_us = 300000 * MS,
                                 .dedupe_max = 100000,
                                 .lease_us = 2000 * MS,
                                 .retry_base_us = 50 * MS,
                                 .retry_us_max = 1000 * MS,
                                 .silence_us_max = 3000 * MS,
                                 .seed = fw_random_next(&w->random)};
    sim_truth_new_era(&w->truth, true);
    sim_trace(w, "broker begins life %u", w->truth.life);
    if (w->bug == SIM_BUG_CLOSED_OWING && w->backend.record[0])
        memcpy(strchr(w->backend.record, ' '), " clean", sizeof " clean");
    options.incarnation[0] = (uint8_t)w->truth.life;
    make_policies(w);
    options.policies = w->policies;
    fw_store_memory_options_t store = {.policies = w->policies,
                                       .bytes_max = 1 << 22,
                                       .idle_us_max = INT64_MAX / 4,
                                       .channels_max = 1000,
                                       .seed = fw_random_next(&w->random)};
    fw_core_output_t output = {w, on_acknowledge, on_send_job, on_deliver, on_alarm, NULL};
    fw_fire_gaps_options_t gaps = {.publishers_max = 100, .repair_us = FIRE_REPAIR_US};
    fw_fire_gaps_output_t gaps_output = {w, on_ask, on_lost};
    w->draining = false;
    w->beacons = 0;
    memset(w->unreleased, 0, sizeof w->unreleased);
    w->gaps = fw_fire_gaps_new(&gaps, &gaps_output);
    w->core = fw_core_new(&options, &output, make_store, &store, w->metrics, w->now_us);
    for (size_t p = 0; p < PUBLISHERS; p++) {
        fw_peer_t peer = sim_peer_of('p', p, 0);
        fw_core_publisher(w->core, &peer, w->now_us);
    }
}

void sim_end_broker(world_t *w)
{
    fw_fire_gaps_destroy(&w->gaps);
    fw_core_destroy(&w->core);
}

void sim_run_broker(world_t *w)
{
    fw_fire_gaps_tick(w->gaps, w->now_us);
    fw_core_tick(w->core, w->now_us);
    for (size_t p = 0; p < PUBLISHERS; p++) {
        fw_peer_t peer = sim_peer_of('p', p, 0);
        (void)fw_core_publisher_seen(w->core, &peer, w->now_us);
    }
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

static bool is_unconfirmed(const world_t *w)
{
    return w->bug != SIM_BUG_EARLY_ANSWER &&
           fw_core_cache_state(w->core, w->now_us) == FW_CACHE_STATE_UNCONFIRMED;
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
    for (size_t i = 0; i < request->channels_count; i++) {
        list[i] = (fw_channel_position_t){request->channels[i], visible[i]};
        sim_truth_told(&w->truth, sim_channel_index(request->channels[i].text), visible[i].epoch);
    }
    reply(w, gateway,
          &(fw_message_t){.kind = FW_MESSAGE_POSITIONS_REPLY,
                          .positions_reply = {request->request_id, list, request->channels_count,
                                              is_unconfirmed(w)}});
}

/* The planted bug: what has its place already is replayed, released or not. */
static void replay_past_visible(world_t *w, fw_replay_reply_t *answer, fw_delivery_t *deliveries)
{
    const unreleased_t *next = &w->unreleased[sim_channel_index(answer->channel.text)];
    if (next->number == 0 || answer->status != FW_REPLAY_COMPLETE ||
        next->at.position.epoch != answer->visible.epoch ||
        next->at.position.offset != answer->visible.offset + 1 ||
        answer->deliveries_count == FW_REPLAY_EVENTS_MAX)
        return;
    answer->visible = next->at.position;
    deliveries[answer->deliveries_count++] =
        (fw_delivery_t){.channel = answer->channel,
                        .position = next->at.position,
                        .fresh = sim_redis_time(&w->backend),
                        .publication = encode_publication(w->spare, next->number)};
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
    for (size_t i = 0; i < read.ret_count; i++) {
        deliveries[i] = (fw_delivery_t){.channel = request->channel,
                                        .position = events[i].position,
                                        .fresh = events[i].fresh,
                                        .unconfirmed = events[i].unconfirmed,
                                        .publication = fw_blob_bytes(events[i].publication)};
    }
    fw_message_t message = {.kind = FW_MESSAGE_REPLAY_REPLY,
                            .replay_reply = {request->request_id, request->channel, read.ret_status,
                                             read.ret_visible, deliveries, read.ret_count,
                                             is_unconfirmed(w)}};
    sim_truth_told(&w->truth, sim_channel_index(request->channel.text), read.ret_visible.epoch);
    w->figures->replays++;
    if (w->bug == SIM_BUG_REPLAY_PAST_VISIBLE)
        replay_past_visible(w, &message.replay_reply, deliveries);
    reply(w, gateway, &message);
}

void sim_broker_request(world_t *w, const sim_packet_t *packet)
{
    fw_message_t message;
    fw_refusal_t refusal;
    if (w->bug != SIM_BUG_EARLY_ANSWER &&
        fw_core_cache_state(w->core, w->now_us) == FW_CACHE_STATE_WAIT) {
        sim_packet_t later = *packet;
        later.at_us = w->now_us + 10 * MS;
        sim_network_send(w->network, &later);
        return;
    }
    if (fw_codec_decode(w->in, FW_LINK_GATEWAY_UP, packet->bytes, &message, &refusal) < 0) {
        sim_violation(&w->truth, "a gateway's request is refused: %s %s", refusal.field,
                      refusal.reason);
    } else if (message.kind == FW_MESSAGE_POSITIONS_REQUEST) {
        answer_positions(w, packet->peer, &message.positions_request);
    } else {
        answer_replay(w, packet->peer, &message.replay_request);
    }
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
        take_in(w, &peer, &message.publish, (uint32_t)message.publish.request_id);
}

void sim_broker_done(world_t *w, const sim_packet_t *packet)
{
    fw_peer_t peer = sim_peer_of('w', packet->peer, packet->life);
    fw_job_done_t done = {.job_id = packet->id, .redis_time = packet->number};
    fw_job_failed_t failed = {.job_id = packet->id, .retryable = true, .reason = FW_TEXT_NONE};
    if (packet->number)
        fw_core_job_done(w->core, &peer, &done, w->now_us);
    else
        fw_core_job_failed(w->core, &peer, &failed, w->now_us);
}
