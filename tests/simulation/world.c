/* world.c - see world.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/simulation/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"
#include "tests/simulation/state.h"

bool sim_dice(world_t *w, unsigned per_mille)
{
    return fw_random_below(&w->random, 1000) < per_mille;
}

int64_t sim_between(world_t *w, int64_t low, int64_t high)
{
    return low + (int64_t)fw_random_below(&w->random, (uint64_t)(high - low + 1));
}

/* The dice fall even when the fault is left out, so that the rest of the world stays as it is for a
 * while. */
bool sim_fault(world_t *w, unsigned fault, unsigned per_mille)
{
    return w->now_us < FAULTS_US && sim_dice(w, per_mille) && !(w->options.without & fault);
}

void sim_trace(world_t *w, const char *format, ...)
{
    va_list arguments;
    if (!w->options.traced)
        return;
    char *line = w->report->trace[w->report->lines++ % SIM_TRACE_LINES];
    int size = snprintf(line, SIM_TRACE_SIZE, "%7.1f ", (double)w->now_us / (double)MS);
    va_start(arguments, format);
    (void)vsnprintf(line + size, SIM_TRACE_SIZE - (size_t)size, format, arguments);
    va_end(arguments);
    if (w->options.told)
        printf("  %s\n", line);
}

fw_peer_t sim_peer_of(char kind, size_t number, uint64_t life)
{
    return (fw_peer_t){3, {(uint8_t)kind, (uint8_t)number, (uint8_t)life}};
}

/* --- life and death */

void sim_disconnect_gateway(world_t *w, size_t number, int64_t up_us)
{
    gateway_t *gateway = &w->gateways[number];
    gateway->connected = false;
    gateway->connection++;
    gateway->topics_count = 0;
    gateway->on_the_way = 0;
    gateway->up_us = up_us;
    gateway->last_beacon = 0;
}

static void connect_gateway(world_t *w, size_t number)
{
    gateway_t *gateway = &w->gateways[number];
    gateway->connected = true;
    gateway->links_us[0] = gateway->links_us[1] = gateway->subscribe_us = w->now_us;
    fw_hub_link_lost(gateway->hub);
}

static void start_gateway(world_t *w, size_t number)
{
    fw_hub_limits_t limits = {.ring = {sim_dice(w, 300) ? 4 : 64, 1 << 20},
                              .rings_bytes_max = 1 << 22,
                              .linger_ms = 1000,
                              .ping_ms = 25000,
                              .reconnect_window_ms = 1000};
    gateway_t *gateway = &w->gateways[number];
    gateway->hub = fw_hub_new(&limits);
    gateway->gather = fw_gather_new(FW_ENCODING_JSON, false);
    gateway->running = true;
    gateway->audit_us = w->now_us + AUDIT_US;
}

void sim_leave_browser(world_t *w, browser_t *browser)
{
    if (!browser->session)
        return;
    fw_hub_part(w->gateways[browser->gateway].hub, browser->session, w->now_us / MS);
    fw_session_destroy(&browser->session);
    sim_browser_disconnected(&browser->knows);
    browser->back_us = w->now_us + sim_between(w, 5 * MS, 800 * MS);
}

void sim_stop_gateway(world_t *w, size_t number, int64_t up_us)
{
    gateway_t *gateway = &w->gateways[number];
    for (size_t i = 0; i < BROWSERS; i++)
        if (w->browsers[i].session && w->browsers[i].gateway == number)
            sim_leave_browser(w, &w->browsers[i]);
    fw_hub_destroy(&gateway->hub);
    fw_gather_destroy(&gateway->gather);
    gateway->running = false;
    sim_disconnect_gateway(w, number, up_us);
}

static void enter_browser(world_t *w, browser_t *browser)
{
    size_t number = fw_random_below(&w->random, GATEWAYS);
    gateway_t *gateway = &w->gateways[number];
    if (!gateway->running)
        return;
    browser->gateway = number;
    browser->blocked_us = 0;
    browser->session = fw_session_new(browser, ++w->sessions);
    browser->session->greets = true;
    for (size_t i = 0; i < browser->knows.places_count; i++) {
        const sim_place_t *place = &browser->knows.places[i];
        (void)fw_hub_join(gateway->hub, browser->session, fw_text(sim_channel_name(place->channel)),
                          place->known ? &place->position : NULL, FW_TEXT_NONE);
    }
    fw_hub_await(gateway->hub, browser->session);
}

static void revive(world_t *w)
{
    if (!w->core && w->now_us >= w->broker_up_us)
        sim_start_broker(w);
    for (size_t g = 0; g < GATEWAYS; g++) {
        gateway_t *gateway = &w->gateways[g];
        if (!gateway->running && w->now_us >= gateway->up_us)
            start_gateway(w, g);
        if (gateway->running && !gateway->connected && w->core && w->now_us >= gateway->up_us)
            connect_gateway(w, g);
    }
    for (size_t i = 0; i < BROWSERS; i++) {
        browser_t *browser = &w->browsers[i];
        if (!browser->session && w->now_us >= browser->back_us)
            enter_browser(w, browser);
        if (browser->session && browser->blocked_us && browser->blocked_us <= w->now_us) {
            browser->blocked_us = 0;
            fw_hub_mark(w->gateways[browser->gateway].hub, browser->session);
        }
    }
}

/* A worker says hello. */
static void meet(world_t *w, size_t number)
{
    uint64_t *met = w->worker_met[number];
    fw_peer_t peer = sim_peer_of('w', number, w->worker_lives[number]);
    if (met[0] != w->truth.life) {
        met[1] = met[0];
        met[0] = w->truth.life;
    }
    fw_core_worker(w->core, &peer, 4, w->now_us);
}

static void tick_broker(world_t *w)
{
    for (size_t i = 0; i < WORKERS; i++) {
        if (!w->worker_up[i] && (w->now_us >= FAULTS_US || sim_dice(w, 10))) {
            w->worker_up[i] = true;
            w->worker_lives[i]++;
        }
        if (w->worker_up[i])
            meet(w, i);
    }
    sim_run_broker(w);
    if (w->draining && (fw_core_drained(w->core, w->now_us) || w->now_us >= w->drained_us)) {
        sim_break_broker(w, "has stopped");
        return;
    }
    for (size_t p = 0; p < PUBLISHERS; p++)
        sim_run_publisher(w, p);
    if (w->now_us >= w->beacon_us) {
        uint8_t incarnation[FW_INCARNATION_SIZE] = {(uint8_t)w->truth.life};
        fw_beacon_t beacon = {{incarnation, sizeof incarnation}, ++w->beacons, 1};
        fw_bytes_t frame = fw_codec_encode_beacon_frame(w->out, &beacon);
        w->beacon_us = w->now_us + BEACON_US;
        for (size_t g = 0; g < GATEWAYS; g++)
            sim_send_to_gateway(w, g, SIM_EVENT, frame);
    }
}

static void tick(world_t *w)
{
    sim_backend_run(&w->backend, w->now_us);
    if (w->core)
        tick_broker(w);
    for (size_t f = 0; f < FIRE_PUBLISHERS; f++)
        sim_run_fire(w, f);
    for (size_t g = 0; g < GATEWAYS; g++) {
        gateway_t *gateway = &w->gateways[g];
        if (!gateway->running || gateway->awake_us > w->now_us)
            continue;
        fw_hub_tick(gateway->hub, w->now_us / MS);
        if (gateway->connected && w->now_us >= gateway->audit_us) {
            gateway->audit_us = w->now_us + AUDIT_US;
            if (w->bug != SIM_BUG_NO_AUDIT)
                fw_hub_audit(gateway->hub, 1);
        }
    }
}

static bool is_current(world_t *w, const sim_packet_t *packet)
{
    switch (packet->kind) {
    case SIM_EVENT:
    case SIM_REPLY:
    case SIM_SUBSCRIBE:
    case SIM_REQUEST:
        return w->core && w->gateways[packet->peer].connected &&
               packet->connection == w->gateways[packet->peer].connection;
    case SIM_FIRE:
    case SIM_ASK:
        return w->core && packet->connection == w->fires[packet->peer].connection;
    case SIM_PUBLISH:
    case SIM_ACK:
        return w->core && packet->connection == w->truth.life;
    case SIM_DONE: /* sent while the worker does not know yet that the broker is another one */
        return w->core && (packet->connection == w->truth.life || sim_dice(w, 300));
    case SIM_JOB: /* a worker does what it was given, whatever became of the broker */
    case SIM_PURGE:
        return true;
    }
    return false;
}

static void arrive(world_t *w, const sim_packet_t *packet)
{
    if (!is_current(w, packet))
        return;
    switch (packet->kind) {
    case SIM_EVENT:
        w->gateways[packet->peer].on_the_way--;
        sim_gateway_event(w, packet);
        break;
    case SIM_REPLY:
        sim_gateway_reply(w, packet);
        break;
    case SIM_SUBSCRIBE:
        sim_broker_subscribe(w, packet);
        break;
    case SIM_REQUEST:
        sim_broker_request(w, packet);
        break;
    case SIM_PUBLISH:
        sim_broker_publish(w, packet);
        break;
    case SIM_ACK:
        sim_publisher_ack(w, packet);
        break;
    case SIM_FIRE:
        sim_broker_fire(w, packet);
        break;
    case SIM_ASK:
        sim_fire_asked(w, packet);
        break;
    case SIM_JOB:
        sim_worker_job(w, packet);
        break;
    case SIM_DONE:
        sim_broker_done(w, packet);
        break;
    case SIM_PURGE:
        sim_backend_purge(&w->backend, (uint32_t)packet->number);
        break;
    }
}

/* Everybody is connected and nothing is under way: every browser must stand where its channels
 * stand. */
static void check_complete(world_t *w)
{
    for (size_t i = 0; i < BROWSERS; i++) {
        const sim_browser_t *knows = &w->browsers[i].knows;
        for (size_t p = 0; p < knows->places_count; p++) {
            const sim_place_t *place = &knows->places[p];
            fw_text_t name = fw_text(sim_channel_name(place->channel));
            fw_position_t visible;
            fw_store_positions_t ask_store = {.channels = &name,
                                              .channels_count = 1,
                                              .ret_visible = &visible,
                                              .answer = sim_note_located};
            fw_store_positions(fw_core_store(w->core), &ask_store);
            if (!knows->welcomed || !place->known || place->broken ||
                place->position.epoch != visible.epoch ||
                place->position.offset != visible.offset) {
                sim_violation(&w->truth, "browser %zu stands at %llu of %s, which is at %llu", i,
                              (unsigned long long)place->position.offset, name.text,
                              (unsigned long long)visible.offset);
            }
        }
    }
    for (size_t i = 0; i < BROWSERS; i++)
        sim_browser_check_screen(&w->browsers[i].knows, &w->truth);
    for (size_t object = 0; object < SIM_OBJECTS; object++) {
        if (sim_truth_owed(&w->truth, object) > 0)
            sim_violation(&w->truth, "a purge of object %zu is owed for ever", object);
        if (sim_backend_is_stale(&w->backend, object, w->backend.committed[object]))
            sim_violation(&w->truth, "the cache serves an old version of object %zu for ever",
                          object);
    }
    for (size_t p = 0; p < PUBLISHERS; p++) {
        for (size_t i = 0; i < w->publishers[p].count; i++) {
            if (!w->publishers[p].events[i].acknowledged)
                sim_violation(&w->truth, "event %u was never acknowledged",
                              w->publishers[p].events[i].number);
        }
    }
}

static void run(world_t *w)
{
    bool settled = false, renewed = false;
    for (w->now_us = 0; w->now_us < END_US && !w->truth.violation[0]; w->now_us += STEP_US / 20) {
        sim_packet_t packet;
        w->backend.now_us = w->now_us;
        bool moved = w->now_us % STEP_US == 0;
        if (moved) {
            sim_strike(w);
            revive(w);
            tick(w);
        }
        while (sim_network_receive(w->network, w->now_us, &packet)) {
            arrive(w, &packet);
            free(packet.memory);
            moved = true;
        }
        for (size_t g = 0; g < GATEWAYS && moved; g++)
            if (w->gateways[g].running)
                sim_run_gateway(w, g);
        if (!settled && w->now_us >= SETTLE_US) {
            settled = true;
            check_complete(w);
        }
        if (!renewed && w->now_us >= FRESH_US) {
            renewed = true;
            for (size_t g = 0; g < GATEWAYS; g++)
                sim_stop_gateway(w, g, w->now_us);
        }
    }
    if (!w->truth.violation[0])
        check_complete(w);
}

static void begin(world_t *w)
{
    static const uint32_t histories[] = {8, 200}, jobs[] = {3, 1000};
    static const int64_t open_timeouts_us[] = {0, 500 * MS, 5000 * MS};
    w->random.state = w->options.seed;
    w->backend.truth = &w->truth;
    w->backend.random.state = fw_random_next(&w->random);
    w->network = sim_network_new();
    w->metrics = fw_metrics_new();
    w->out = fw_codec_new();
    w->in = fw_codec_new();
    w->spare = fw_codec_new();
    w->loss = (unsigned)fw_random_below(&w->random, 4) * 30;
    w->chaos = (unsigned)fw_random_below(&w->random, 4) * 40;
    w->history_max = histories[sim_dice(w, 700)];
    w->jobs_max = jobs[sim_dice(w, 600)];
    w->open_timeout_us = open_timeouts_us[fw_random_below(&w->random, 3)];
    for (size_t f = 0; f < FIRE_PUBLISHERS; f++)
        w->fires[f].keeps = sim_dice(w, 500) ? 2 : EVENTS_A_PUBLISHER_MAX;
    for (size_t i = 0; i < BROWSERS; i++) {
        sim_browser_t *knows = &w->browsers[i].knows;
        knows->number = i;
        knows->backend = &w->backend;
        knows->places_count = 1 + fw_random_below(&w->random, 3);
        for (size_t p = 0; p < knows->places_count; p++)
            knows->places[p].channel = (i + p) % SIM_CHANNELS;
    }
}

static void end(world_t *w)
{
    for (size_t i = 0; i < BROWSERS; i++) {
        const sim_browser_t *knows = &w->browsers[i].knows;
        w->figures->received += knows->events;
        w->figures->resets += knows->resets;
        w->figures->doubtful += knows->doubtful;
        w->figures->excused += knows->excuses;
    }
    w->figures->worlds++;
    w->figures->reads += w->backend.reads;
    w->figures->hits += w->backend.hits;
    w->figures->flushes += w->backend.flushes;
    for (size_t g = 0; g < GATEWAYS; g++)
        if (w->gateways[g].running)
            sim_stop_gateway(w, g, 0);
    sim_end_broker(w);
    fw_policies_destroy(&w->policies);
    sim_network_destroy(&w->network);
    fw_metrics_destroy(&w->metrics);
    fw_codec_destroy(&w->out);
    fw_codec_destroy(&w->in);
    fw_codec_destroy(&w->spare);
    sim_truth_clear(&w->truth);
    free(w);
}

bool sim_run(const sim_options_t *options, sim_figures_t *ret_figures, sim_report_t *ret_report)
{
    world_t *w = fw_alloc(1, sizeof *w);
    w->options = *options;
    w->bug = options->bug;
    w->figures = ret_figures;
    w->report = ret_report;
    ret_report->lines = 0;
    begin(w);
    run(w);
    bool kept = w->truth.violation[0] == '\0';
    memcpy(ret_report->violation, w->truth.violation, sizeof ret_report->violation);
    end(w);
    return kept;
}
