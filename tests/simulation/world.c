/* world.c - see world.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/simulation/world.h"

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

bool sim_in_faults(const world_t *w)
{
    return w->now_us < FAULTS_US;
}

uint64_t sim_redis_us(const world_t *w)
{
    return (uint64_t)w->now_us + 1000000;
}

fw_peer_t sim_peer_of(char kind, size_t number, uint64_t life)
{
    return (fw_peer_t){3, {(uint8_t)kind, (uint8_t)number, (uint8_t)life}};
}

/* --- life and death */

static void disconnect_gateway(world_t *w, size_t number, int64_t up_us)
{
    gateway_t *gateway = &w->gateways[number];
    gateway->connected = false;
    gateway->connection++;
    gateway->topics_count = 0;
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
    gateway->gather = fw_gather_new(false);
    gateway->running = true;
    gateway->audit_us = w->now_us + AUDIT_US;
}

static void leave_browser(world_t *w, browser_t *browser)
{
    if (!browser->session)
        return;
    fw_hub_part(w->gateways[browser->gateway].hub, browser->session, w->now_us / MS);
    fw_session_destroy(&browser->session);
    sim_browser_disconnected(&browser->knows);
    browser->back_us = w->now_us + sim_between(w, 5 * MS, 800 * MS);
}

static void stop_gateway(world_t *w, size_t number, int64_t up_us)
{
    gateway_t *gateway = &w->gateways[number];
    for (size_t i = 0; i < BROWSERS; i++)
        if (w->browsers[i].session && w->browsers[i].gateway == number)
            leave_browser(w, &w->browsers[i]);
    fw_hub_destroy(&gateway->hub);
    fw_gather_destroy(&gateway->gather);
    gateway->running = false;
    disconnect_gateway(w, number, up_us);
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

static void crash_broker(world_t *w)
{
    fw_core_destroy(&w->core);
    w->broker_up_us = w->now_us + sim_between(w, 50 * MS, 1500 * MS);
    w->figures->crashes++;
    for (size_t g = 0; g < GATEWAYS; g++)
        disconnect_gateway(w, g, w->broker_up_us + sim_between(w, 0, 300 * MS));
}

static void strike(world_t *w)
{
    if (!sim_in_faults(w) || !sim_dice(w, w->chaos))
        return;
    size_t number = fw_random_below(&w->random, GATEWAYS);
    gateway_t *gateway = &w->gateways[number];
    browser_t *browser = &w->browsers[fw_random_below(&w->random, BROWSERS)];
    switch (fw_random_below(&w->random, 8)) {
    case 0:
        if (w->core && sim_dice(w, 200))
            crash_broker(w);
        break;
    case 1:
        if (gateway->running && sim_dice(w, 300)) {
            stop_gateway(w, number, w->now_us + sim_between(w, 50 * MS, 1000 * MS));
            w->figures->crashes++;
        }
        break;
    case 2:
    case 3:
        if (gateway->connected) {
            disconnect_gateway(w, number, w->now_us + sim_between(w, 10 * MS, 600 * MS));
            w->figures->breaks++;
        }
        break;
    default:
        leave_browser(w, browser);
        w->figures->breaks++;
    }
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

static void tick(world_t *w)
{
    for (size_t i = 0; w->core && i < WORKERS; i++) {
        fw_peer_t peer = sim_peer_of('w', i, 0);
        if (!w->worker_up[i] && (!sim_in_faults(w) || sim_dice(w, 10)))
            w->worker_up[i] = true;
        if (w->worker_up[i])
            fw_core_worker(w->core, &peer, 4, w->now_us);
    }
    if (w->core) {
        fw_core_tick(w->core, w->now_us);
        for (size_t p = 0; p < PUBLISHERS; p++) {
            fw_peer_t peer = sim_peer_of('p', p, 0);
            (void)fw_core_publisher_seen(w->core, &peer, w->now_us);
            sim_run_publisher(w, p);
        }
    }
    if (w->core && w->now_us >= w->beacon_us) {
        fw_beacon_t beacon = {.number = ++w->beacons};
        fw_bytes_t frame = fw_codec_encode_beacon_frame(w->out, &beacon);
        w->beacon_us = w->now_us + BEACON_US;
        for (size_t g = 0; g < GATEWAYS; g++)
            sim_send_to_gateway(w, g, SIM_EVENT, frame);
    }
    for (size_t g = 0; g < GATEWAYS; g++) {
        gateway_t *gateway = &w->gateways[g];
        if (!gateway->running)
            continue;
        fw_hub_tick(gateway->hub, w->now_us / MS);
        if (gateway->connected && w->now_us >= gateway->audit_us) {
            gateway->audit_us = w->now_us + AUDIT_US;
            if (w->bug != SIM_BUG_NO_AUDIT)
                fw_hub_audit(gateway->hub, 1);
        }
    }
}

static void arrive(world_t *w, const sim_packet_t *packet)
{
    bool of_gateway = packet->kind == SIM_EVENT || packet->kind == SIM_REPLY ||
                      packet->kind == SIM_SUBSCRIBE || packet->kind == SIM_REQUEST;
    uint64_t current = of_gateway ? w->gateways[packet->peer].connection : w->broker_life;
    if (packet->connection != current || !w->core ||
        (of_gateway && !w->gateways[packet->peer].connected))
        return;
    switch (packet->kind) {
    case SIM_EVENT:
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
    case SIM_JOB:
        sim_worker_job(w, packet);
        break;
    case SIM_DONE:
        sim_broker_done(w, packet);
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
                place->position.epoch != visible.epoch || place->position.offset != visible.offset)
                sim_violation(&w->truth, "browser %zu stands at %llu of %s, which is at %llu", i,
                              (unsigned long long)place->position.offset, name.text,
                              (unsigned long long)visible.offset);
        }
    }
    for (size_t p = 0; p < PUBLISHERS; p++)
        for (size_t i = 0; i < w->publishers[p].count; i++)
            if (!w->publishers[p].events[i].acknowledged)
                sim_violation(&w->truth, "event %u was never acknowledged",
                              w->publishers[p].events[i].number);
}

static void run(world_t *w)
{
    bool settled = false, renewed = false;
    for (w->now_us = 0; w->now_us < END_US && !w->truth.violation[0]; w->now_us += STEP_US / 20) {
        sim_packet_t packet;
        bool at_step = w->now_us % STEP_US == 0;
        if (at_step) {
            strike(w);
            revive(w);
            tick(w);
        }
        while (sim_network_receive(w->network, w->now_us, &packet)) {
            arrive(w, &packet);
            free((void *)(uintptr_t)packet.bytes.data);
        }
        for (size_t g = 0; g < GATEWAYS; g++)
            if (w->gateways[g].running)
                sim_run_gateway(w, g);
        if (!settled && w->now_us >= SETTLE_US) {
            settled = true;
            check_complete(w);
        }
        if (!renewed && w->now_us >= FRESH_US) {
            renewed = true;
            for (size_t g = 0; g < GATEWAYS; g++)
                stop_gateway(w, g, w->now_us);
        }
    }
    if (!w->truth.violation[0])
        check_complete(w);
}

bool sim_run(uint64_t seed, sim_bug_t bug, sim_figures_t *ret_figures, char *ret_violation,
             size_t size)
{
    world_t *w = fw_alloc(1, sizeof *w);
    w->bug = bug;
    w->random.state = seed;
    w->figures = ret_figures;
    w->network = sim_network_new();
    w->metrics = fw_metrics_new();
    w->out = fw_codec_new();
    w->in = fw_codec_new();
    w->loss = (unsigned)fw_random_below(&w->random, 4) * 30;
    w->chaos = (unsigned)fw_random_below(&w->random, 4) * 40;
    for (size_t i = 0; i < BROWSERS; i++) {
        sim_browser_t *knows = &w->browsers[i].knows;
        knows->number = i;
        knows->places_count = 1 + fw_random_below(&w->random, 3);
        for (size_t p = 0; p < knows->places_count; p++)
            knows->places[p].channel = (i + p) % SIM_CHANNELS;
    }
    run(w);
    bool kept = w->truth.violation[0] == '\0';
    (void)snprintf(ret_violation, size, "%s", w->truth.violation);
    for (size_t i = 0; i < BROWSERS; i++) {
        ret_figures->received += w->browsers[i].knows.events;
        ret_figures->resets += w->browsers[i].knows.resets;
    }
    for (size_t g = 0; g < GATEWAYS; g++)
        if (w->gateways[g].running)
            stop_gateway(w, g, 0);
    fw_core_destroy(&w->core);
    fw_policies_destroy(&w->policies);
    sim_network_destroy(&w->network);
    fw_metrics_destroy(&w->metrics);
    fw_codec_destroy(&w->out);
    fw_codec_destroy(&w->in);
    sim_truth_clear(&w->truth);
    free(w);
    return kept;
}
