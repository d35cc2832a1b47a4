/* service_side.c - publishers and purge workers.   SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/state.h"
#include "workers/cache_record.h"

/* --- workers */

static void incarnation_of(uint64_t life, uint8_t ret_incarnation[FW_INCARNATION_SIZE])
{
    memset(ret_incarnation, 0, FW_INCARNATION_SIZE);
    ret_incarnation[0] = (uint8_t)life;
}

/* before: the last other broker that the worker has met, 0 = none that it remembers. */
static void change_record(world_t *w, fw_cache_action_t action, uint64_t life, uint64_t before)
{
    uint8_t broker[FW_INCARNATION_SIZE], other[FW_INCARNATION_SIZE];
    char ours[FW_RECORD_SIZE_MAX + 1];
    incarnation_of(life, broker);
    incarnation_of(before, other);
    fw_record_step_t step =
        fw_record_decide(action, broker, before ? other : NULL, fw_text(w->backend.record), ours);
    if (step == FW_RECORD_BUMP_AND_WRITE && w->bug != SIM_BUG_NO_OPEN)
        sim_backend_flush(&w->backend);
    if (step != FW_RECORD_KEEP)
        (void)snprintf(w->backend.record, sizeof w->backend.record, "%s", ours);
    sim_trace(w, "cache: %s by life %llu, %s", action == FW_CACHE_OPEN ? "opened" : "closed",
              (unsigned long long)life,
              step == FW_RECORD_BUMP_AND_WRITE ? "flushed" : "not flushed");
}

/* Purges what the job names. */
static void do_job(world_t *w, const sim_packet_t *packet)
{
    switch ((fw_cache_action_t)packet->action) {
    case FW_CACHE_NONE:
        sim_backend_purge(&w->backend, (uint32_t)packet->number);
        break;
    case FW_CACHE_FLUSH:
        sim_trace(w, "cache: flushed");
        if (w->bug != SIM_BUG_NO_FLUSH)
            sim_backend_flush(&w->backend);
        break;
    case FW_CACHE_OPEN:
    case FW_CACHE_CLOSE:
        change_record(
            w, (fw_cache_action_t)packet->action, packet->number,
            w->worker_met[packet->peer][w->worker_met[packet->peer][0] == packet->number]);
        break;
    }
}

static void purge_later(world_t *w, const sim_packet_t *packet)
{
    sim_packet_t purge = *packet;
    purge.kind = SIM_PURGE;
    purge.at_us = w->now_us + 20 * MS;
    sim_network_send(w->network, &purge);
}

/* It may crash before or after the purge, hang before it, fail, or answer late; Redis may be away.
 */
void sim_worker_job(world_t *w, const sim_packet_t *packet)
{
    sim_packet_t done = {.kind = SIM_DONE,
                         .peer = packet->peer,
                         .connection = packet->connection,
                         .life = packet->life,
                         .id = packet->id};
    if (!w->worker_up[packet->peer] || packet->life != (uint8_t)w->worker_lives[packet->peer])
        return;
    if (!packet->again && sim_fault(w, SIM_FAULT_WORKER, w->chaos)) {
        sim_packet_t hung = *packet;
        hung.at_us = w->now_us + sim_between(w, 50 * MS, 900 * MS);
        hung.again = true;
        sim_network_send(w->network, &hung);
        return;
    }
    bool crashes = sim_fault(w, SIM_FAULT_WORKER, w->chaos);
    bool purges = w->now_us >= w->redis_back_us && !(crashes && sim_dice(w, 500)) &&
                  !sim_fault(w, SIM_FAULT_WORKER, w->chaos);
    if (purges && w->bug == SIM_BUG_LATE_PURGE && packet->action == FW_CACHE_NONE)
        purge_later(w, packet);
    else if (purges)
        do_job(w, packet);
    if (purges)
        done.number = sim_redis_time(&w->backend);
    if (crashes) {
        sim_trace(w, "worker %zu crashes, event %llu %s", packet->peer,
                  (unsigned long long)packet->number, purges ? "purged" : "not purged");
        w->worker_up[packet->peer] = false;
        w->figures->crashes++;
        return;
    }
    done.at_us = w->now_us + sim_between(w, 200, 2 * MS);
    if (sim_fault(w, SIM_FAULT_WORKER, w->chaos))
        done.at_us += sim_between(w, 1 * MS, 900 * MS);
    sim_network_send(w->network, &done);
}

/* --- events */

static pending_t make_event(world_t *w)
{
    sim_truth_t *truth = &w->truth;
    uint32_t limit = w->options.events_max;
    if (truth->numbers + 1 >= SIM_EVENTS_MAX || (limit > 0 && truth->numbers >= limit))
        return (pending_t){0};
    pending_t pending = {.number = ++truth->numbers, .channels_count = 1, .send_us = w->now_us};
    sim_event_t *event = &truth->events[pending.number];
    event->object = fw_random_below(&w->random, SIM_OBJECTS);
    event->purges = sim_dice(w, 600);
    pending.channels[0] = event->object % SIM_CHANNELS;
    pending.channels[1] = (pending.channels[0] + 1) % SIM_CHANNELS;
    if (sim_dice(w, 300))
        pending.channels_count = 2;
    pending.level = sim_dice(w, 500) ? FW_ACK_ACCEPTED : FW_ACK_PURGED;
    if (w->bug == SIM_BUG_EARLY_RELEASE || w->bug == SIM_BUG_REPLAY_PAST_VISIBLE)
        pending.level = FW_ACK_ACCEPTED;
    if (event->purges)
        sim_backend_commit(&w->backend, pending.number);
    w->figures->events++;
    return pending;
}

static fw_bytes_t encode_event(world_t *w, const pending_t *pending, const fire_t *fire,
                               uint64_t sequence)
{
    uint8_t incarnation[FW_INCARNATION_SIZE];
    char id[32], tag[16], data[32];
    fw_text_t audience[2];
    (void)snprintf(id, sizeof id, "e%u", pending->number);
    if (w->bug == SIM_BUG_NEW_ID)
        (void)snprintf(id, sizeof id, "e%u-%u", pending->number, pending->sent);
    (void)snprintf(tag, sizeof tag, "t%u", pending->number);
    int size = snprintf(data, sizeof data, "{\"n\":%u}", pending->number);
    fw_text_t tags[] = {fw_text(tag)};
    for (size_t i = 0; i < pending->channels_count; i++)
        audience[i] = fw_text(sim_channel_name(pending->channels[i]));
    fw_message_t message = {.kind = FW_MESSAGE_PUBLISH};
    message.publish.request_id = fire ? 0 : pending->number;
    message.publish.level = pending->level;
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
    if (fire) {
        incarnation_of((uint64_t)(fire - w->fires) + 1, incarnation);
        message.publish.sequence = sequence;
        message.publish.incarnation = (fw_bytes_t){incarnation, sizeof incarnation};
    }
    if (w->truth.events[pending->number].purges)
        message.publish.event.invalidate = (fw_invalidate_t){.tags = tags, .tags_count = 1};
    return fw_codec_encode(w->out, FW_LINK_PUBLISHER_UP, &message);
}

static bool has_time(const world_t *w)
{
    bool quiet = w->now_us > FAULTS_US && w->now_us < FRESH_US;
    return !quiet && w->now_us <= FRESH_US + 500 * MS;
}

/* --- acknowledged publishers */

static void send_event(world_t *w, size_t number, pending_t *pending)
{
    fw_bytes_t bytes = encode_event(w, pending, NULL, 0);
    pending->send_us = w->now_us + RETRY_US;
    pending->sent++;
    sim_packet_t packet = {.at_us = w->now_us + sim_between(w, 100, 5 * MS),
                           .kind = SIM_PUBLISH,
                           .peer = number,
                           .connection = w->truth.life,
                           .bytes = bytes};
    if (sim_fault(w, SIM_FAULT_LOSS, w->loss))
        return;
    /* Of a connection that was given up: it arrives after the same event on the next one. */
    if (sim_fault(w, SIM_FAULT_LOSS, w->loss))
        packet.at_us += sim_between(w, 500 * MS, 2000 * MS);
    sim_network_send(w->network, &packet);
}

void sim_run_publisher(world_t *w, size_t number)
{
    publisher_t *publisher = &w->publishers[number];
    if (has_time(w) && w->now_us >= publisher->next_us &&
        publisher->count < EVENTS_A_PUBLISHER_MAX) {
        publisher->next_us = w->now_us + sim_between(w, 10 * MS, 160 * MS);
        publisher->events[publisher->count] = make_event(w);
        publisher->count += publisher->events[publisher->count].number > 0;
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
    for (size_t i = 0; i < publisher->count; i++) {
        if (publisher->events[i].number != number || publisher->events[i].acknowledged)
            continue;
        publisher->events[i].acknowledged = true;
        w->truth.events[number].acknowledged = true;
        if (publisher->events[i].level == FW_ACK_PURGED && !w->truth.events[number].released)
            sim_violation(&w->truth, "event %u was acknowledged before its release", number);
    }
}

/* --- fire and forget */

/* A broker that drains has closed this door first. */
static bool is_connected(const world_t *w, const fire_t *fire)
{
    bool open = w->core && !w->draining;
    return open && fire->life == w->truth.life && w->now_us >= fire->connected_us;
}

static void send_fire(world_t *w, size_t number, fw_bytes_t bytes)
{
    fire_t *fire = &w->fires[number];
    int64_t at_us = w->now_us + sim_between(w, 100, 5 * MS);
    if (!is_connected(w, fire))
        return;
    if (at_us < fire->link_us)
        at_us = fire->link_us;
    fire->link_us = at_us;
    sim_network_send(w->network, &(sim_packet_t){.at_us = at_us,
                                                 .kind = SIM_FIRE,
                                                 .peer = number,
                                                 .connection = fire->connection,
                                                 .bytes = bytes});
}

/* It is lost when the queue is full. */
static void send_numbered(world_t *w, size_t number, uint64_t sequence)
{
    fire_t *fire = &w->fires[number];
    bool full = sim_fault(w, SIM_FAULT_LOSS, w->loss);
    sim_trace(w, "fire %zu sends event %u as %llu%s", number, fire->events[sequence - 1].number,
              (unsigned long long)sequence, full || !is_connected(w, fire) ? ", in vain" : "");
    if (!full)
        send_fire(w, number, encode_event(w, &fire->events[sequence - 1], fire, sequence));
}

static size_t first_kept(const fire_t *fire)
{
    return fire->oldest;
}

static void send_mark(world_t *w, size_t number)
{
    fire_t *fire = &w->fires[number];
    uint8_t incarnation[FW_INCARNATION_SIZE];
    incarnation_of(number + 1, incarnation);
    fire->unmarked = fire->greets = false;
    fire->mark_us = w->now_us + 1000 * MS;
    if (fire->count == 0 || w->bug == SIM_BUG_NO_MARKS)
        return;
    sim_trace(w, "fire %zu marks %zu, keeps %zu", number, fire->count, first_kept(fire) + 1);
    fw_message_t message = {.kind = FW_MESSAGE_FIRE_MARK,
                            .fire_mark = {.incarnation = {incarnation, sizeof incarnation},
                                          .last = fire->count,
                                          .kept = first_kept(fire) + 1}};
    send_fire(w, number, fw_codec_encode(w->out, FW_LINK_PUBLISHER_UP, &message));
}

void sim_run_fire(world_t *w, size_t number)
{
    fire_t *fire = &w->fires[number];
    if (w->core && !w->draining && fire->life != w->truth.life) {
        fire->life = w->truth.life;
        fire->connection++;
        fire->connected_us = w->now_us + sim_between(w, 1 * MS, 300 * MS);
        fire->mark_us = fire->connected_us;
        fire->unmarked = fire->greets = true;
    }
    if (w->now_us >= fire->mark_us && fire->unmarked && is_connected(w, fire))
        send_mark(w, number);
    if (!has_time(w) || w->now_us < fire->next_us || fire->count == EVENTS_A_PUBLISHER_MAX)
        return;
    fire->next_us = w->now_us + sim_between(w, 10 * MS, 200 * MS);
    fire->events[fire->count] = make_event(w);
    if (fire->events[fire->count].number == 0)
        return;
    fire->count++;
    fire->unmarked = true;
    w->figures->fired++;
    send_numbered(w, number, fire->count);
    if (is_connected(w, fire) && !fire->greets && fire->count > fire->oldest + fire->keeps)
        fire->oldest = fire->count - fire->keeps;
}

/* Sends again what is asked for and still kept; then says what is. */
void sim_fire_asked(world_t *w, const sim_packet_t *packet)
{
    fire_t *fire = &w->fires[packet->peer];
    uint64_t last = packet->id + packet->number - 1;
    for (uint64_t sequence = packet->id; sequence <= last && sequence <= fire->count; sequence++)
        if (sequence > first_kept(fire))
            send_numbered(w, packet->peer, sequence);
    if (packet->id <= first_kept(fire))
        send_mark(w, packet->peer);
}

void sim_fire_lost(world_t *w, size_t number)
{
    fire_t *fire = &w->fires[number];
    for (size_t i = 0; i < fire->count; i++) {
        if (!fire->arrived[i] &&
            (i < first_kept(fire) || fire->events[i].send_us + FIRE_REPAIR_US <= w->now_us))
            w->truth.events[fire->events[i].number].lost = true;
    }
}
