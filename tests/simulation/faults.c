/* faults.c - what strikes the world.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/simulation/state.h"

void sim_break_broker(world_t *w, const char *how)
{
    sim_trace(w, "broker %s", how);
    sim_end_broker(w);
    w->broker_up_us = w->now_us + sim_between(w, 50 * MS, 1500 * MS);
    for (size_t g = 0; g < GATEWAYS; g++)
        sim_disconnect_gateway(w, g, w->broker_up_us + sim_between(w, 0, 300 * MS));
}

/* A hole of the fire-and-forget link that is still open may never be filled: the next broker has to
 * flush. */
static void drain_broker(world_t *w)
{
    fw_fire_gaps_stats_t stats;
    fw_fire_gaps_stats(w->gaps, &stats);
    sim_trace(w, "broker is told to stop");
    w->draining = true;
    w->drained_us = w->now_us + DRAIN_US;
    w->figures->stops++;
    fw_core_drain(w->core);
    if (stats.missing > 0)
        fw_core_leave_open(w->core);
}

static void strike_broker(world_t *w)
{
    if (!w->core)
        return;
    if (sim_fault(w, SIM_FAULT_BROKER_CRASH, 100)) {
        sim_break_broker(w, "crashes");
        w->figures->crashes++;
    } else if (sim_fault(w, SIM_FAULT_BROKER_STOP, 150) && !w->draining) {
        drain_broker(w);
    }
}

static void strike_gateway(world_t *w, size_t number)
{
    gateway_t *gateway = &w->gateways[number];
    if (gateway->running && sim_fault(w, SIM_FAULT_GATEWAY_CRASH, 100)) {
        sim_trace(w, "gateway %zu crashes", number);
        sim_stop_gateway(w, number, w->now_us + sim_between(w, 50 * MS, 1000 * MS));
        w->figures->crashes++;
    } else if (gateway->running && sim_fault(w, SIM_FAULT_GATEWAY_SLOW, 200)) {
        sim_trace(w, "gateway %zu stands still", number);
        gateway->awake_us = w->now_us + sim_between(w, 100 * MS, 2500 * MS);
    } else if (gateway->connected && sim_fault(w, SIM_FAULT_LINK, 500)) {
        sim_trace(w, "gateway %zu loses its links", number);
        sim_disconnect_gateway(w, number, w->now_us + sim_between(w, 10 * MS, 600 * MS));
        w->figures->breaks++;
    }
}

static void strike_redis(world_t *w)
{
    if (sim_fault(w, SIM_FAULT_REDIS, 30)) {
        sim_trace(w, "redis is restarted and empty");
        sim_backend_empty(&w->backend);
    } else if (sim_fault(w, SIM_FAULT_REDIS, 100)) {
        sim_trace(w, "redis is away");
        w->redis_back_us = w->now_us + sim_between(w, 100 * MS, 2500 * MS);
    }
}

void sim_strike(world_t *w)
{
    if (w->now_us >= FAULTS_US || !sim_dice(w, w->chaos))
        return;
    size_t number = fw_random_below(&w->random, GATEWAYS);
    browser_t *browser = &w->browsers[fw_random_below(&w->random, BROWSERS)];
    fire_t *fire = &w->fires[fw_random_below(&w->random, FIRE_PUBLISHERS)];
    switch (fw_random_below(&w->random, 8)) {
    case 0:
        strike_broker(w);
        break;
    case 1:
    case 2:
    case 3:
        strike_gateway(w, number);
        break;
    case 4:
        strike_redis(w);
        break;
    case 5:
        if (sim_fault(w, SIM_FAULT_LINK, 300))
            fire->life = 0;
        break;
    default:
        if (sim_fault(w, SIM_FAULT_BROWSER, 1000)) {
            sim_leave_browser(w, browser);
            w->figures->breaks++;
        }
    }
}
