/* state.h - the world's state and what its files call in each other.
 * SPDX-License-Identifier: MPL-2.0 Internal to tests/simulation/. */
#pragma once

#include "broker/core.h"
#include "broker/fire_gaps.h"
#include "gateway/gather.h"
#include "gateway/hub.h"
#include "tests/simulation/browser.h"
#include "tests/simulation/network.h"
#include "tests/simulation/services.h"
#include "tests/simulation/world.h"

/* A millisecond, of a clock in microseconds. */
#define MS INT64_C(1000)

enum {
    GATEWAYS = 2,
    WORKERS = 3,
    PUBLISHERS = 2,
    FIRE_PUBLISHERS = 2,
    BROWSERS = 8,
    TOPICS_MAX = 16,
    STEP_US = 10 * MS,
    FAULTS_US = 8000 * MS,  /* faults until here */
    SETTLE_US = 25000 * MS, /* longer than an audit: then everybody must have everything */
    FRESH_US = 26500 * MS,  /* gateways begin anew, browsers return, events go on */
    END_US = 32000 * MS,    /* shorter than an audit after that: nothing may depend on it */
    AUDIT_US = 10000 * MS,
    BEACON_US = 500 * MS,
    RETRY_US = 1000 * MS,
    BARRIER_US = 500 * MS,
    HOLD_US = 2000 * MS,
    FIRE_REPAIR_US = 1500 * MS,
    DRAIN_US = 2000 * MS,
    EVENT_HWM = 12, /* frames on the way to a gateway that does not read; beyond, they are lost */
};

typedef struct {
    fw_hub_t *hub;
    fw_gather_t *gather;
    bool running;
    int64_t up_us;    /* when it runs, or is connected, again */
    int64_t awake_us; /* it does nothing until then */
    bool connected;
    uint64_t connection;
    char topics[TOPICS_MAX][FW_TOPIC_SIZE]; /* in force at the broker */
    size_t topics_count;
    int64_t links_us[2]; /* last arrival on each link, which keep their order */
    size_t on_the_way;   /* frames of the event link */
    int64_t subscribe_us;
    uint64_t last_beacon, requests;
    int64_t audit_us;
} gateway_t;

typedef struct {
    sim_browser_t knows;
    fw_session_t *session;
    size_t gateway;
    int64_t back_us;    /* connects again */
    int64_t blocked_us; /* its socket takes nothing until then */
} browser_t;

typedef struct {
    fw_channel_position_t at; /* channel is borrowed from the truth */
    uint32_t number;
} unreleased_t;

typedef struct {
    sim_options_t options;
    sim_bug_t bug;
    fw_random_t random;
    sim_truth_t truth;
    sim_backend_t backend;
    sim_network_t *network;
    sim_figures_t *figures;
    sim_report_t *report;
    fw_metrics_t *metrics;
    fw_codec_t *out, *in, *spare; /* encodes; decodes; encodes while out is in use */
    fw_policies_t *policies;
    fw_core_t *core; /* NULL while the broker is down */
    fw_fire_gaps_t *gaps;
    bool draining;
    int64_t drained_us; /* at the latest */
    int64_t broker_up_us, beacon_us;
    uint64_t beacons;
    unreleased_t unreleased[SIM_CHANNELS]; /* the newest one, for a planted bug */
    gateway_t gateways[GATEWAYS];
    browser_t browsers[BROWSERS];
    publisher_t publishers[PUBLISHERS];
    fire_t fires[FIRE_PUBLISHERS];
    bool worker_up[WORKERS];
    uint64_t worker_lives[WORKERS]; /* each life has a name of its own at the broker */
    /* Lives of the broker that this one has met, the last first. What crashes forgets them; here it
     * does not: with every worker restarted in the one life in which no worker could open the
     * cache, after a clean end of the life before, nothing is left that knows of it. */
    uint64_t worker_met[WORKERS][2];
    int64_t redis_back_us; /* away until then */
    uint64_t sessions;
    int64_t now_us;
    unsigned loss, chaos; /* per mille, of this world */
    uint32_t history_max, jobs_max;
    int64_t open_timeout_us;
} world_t;

/* True so many times in a thousand. */
bool sim_dice(world_t *w, unsigned per_mille);
/* The same for a fault, while there are faults and this one is not left out. */
bool sim_fault(world_t *w, unsigned fault, unsigned per_mille);
int64_t sim_between(world_t *w, int64_t low, int64_t high);
fw_peer_t sim_peer_of(char kind, size_t number, uint64_t life);
/* Notes what happens, for the report of a failure. */
void sim_trace(world_t *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* world.c: links, gateways and browsers come to their end; up_us: when they are back. */
void sim_disconnect_gateway(world_t *w, size_t number, int64_t up_us);
void sim_stop_gateway(world_t *w, size_t number, int64_t up_us);
void sim_leave_browser(world_t *w, browser_t *browser);

/* faults.c: something may happen now; the broker is gone, and its links. */
void sim_strike(world_t *w);
void sim_break_broker(world_t *w, const char *how);

/* Two links that keep their order, unless the world is unkind. */
void sim_send_to_gateway(world_t *w, size_t number, sim_kind_t kind, fw_bytes_t bytes);

void sim_start_broker(world_t *w);
/* Also when it has ended cleanly. */
void sim_end_broker(world_t *w);
void sim_run_broker(world_t *w);
void sim_broker_request(world_t *w, const sim_packet_t *packet);
void sim_broker_subscribe(world_t *w, const sim_packet_t *packet);
void sim_broker_publish(world_t *w, const sim_packet_t *packet);
void sim_broker_fire(world_t *w, const sim_packet_t *packet);
void sim_broker_done(world_t *w, const sim_packet_t *packet);
void sim_note_located(void *context, fw_store_positions_t *positions);

void sim_worker_job(world_t *w, const sim_packet_t *packet);

void sim_run_publisher(world_t *w, size_t number);
void sim_publisher_ack(world_t *w, const sim_packet_t *packet);
void sim_run_fire(world_t *w, size_t number);
void sim_fire_asked(world_t *w, const sim_packet_t *packet);
/* The numbers that the broker has given up on are those. */
void sim_fire_lost(world_t *w, size_t number);

/* What a gateway's uplink does. */
void sim_run_gateway(world_t *w, size_t number);
void sim_gateway_event(world_t *w, const sim_packet_t *packet);
void sim_gateway_reply(world_t *w, const sim_packet_t *packet);
