/* state.h - the world's state and what its files call in each other.   SPDX-License-Identifier:
 * MPL-2.0 Internal to tests/simulation/. */
#pragma once

#include "broker/core.h"
#include "gateway/gather.h"
#include "gateway/hub.h"
#include "runtime/random.h"
#include "tests/simulation/browser.h"
#include "tests/simulation/network.h"
#include "tests/simulation/world.h"

enum {
    GATEWAYS = 2,
    WORKERS = 3,
    PUBLISHERS = 2,
    BROWSERS = 8,
    TOPICS_MAX = 16,
    EVENTS_A_PUBLISHER_MAX = 400,
    MS = 1000,
    STEP_US = 10 * MS,
    FAULTS_US = 8000 * MS,  /* faults until here */
    SETTLE_US = 25000 * MS, /* longer than an audit: then everybody must have everything */
    FRESH_US = 26500 * MS,  /* gateways begin anew, browsers return, events go on */
    END_US = 30000 * MS,    /* shorter than an audit after that: nothing may depend on it */
    AUDIT_US = 10000 * MS,
    BEACON_US = 500 * MS,
    RETRY_US = 1000 * MS,
};

typedef struct {
    fw_hub_t *hub;
    fw_gather_t *gather;
    bool running;
    int64_t up_us; /* when it runs, or is connected, again */
    bool connected;
    uint64_t connection;
    char topics[TOPICS_MAX][FW_TOPIC_SIZE]; /* in force at the broker */
    size_t topics_count;
    int64_t links_us[2]; /* last arrival on each link, which keep their order */
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
    uint32_t number;
    size_t channels[2], channels_count;
    bool acknowledged;
    int64_t send_us;
} pending_t;

typedef struct {
    pending_t events[EVENTS_A_PUBLISHER_MAX];
    size_t count;
    int64_t next_us;
} publisher_t;

typedef struct {
    sim_bug_t bug;
    fw_random_t random;
    sim_truth_t truth;
    sim_network_t *network;
    sim_figures_t *figures;
    fw_metrics_t *metrics;
    fw_codec_t *out, *in; /* encodes; decodes */
    fw_policies_t *policies;
    fw_core_t *core;      /* NULL while the broker is down */
    uint64_t broker_life;
    int64_t broker_up_us, beacon_us;
    uint64_t beacons;
    gateway_t gateways[GATEWAYS];
    browser_t browsers[BROWSERS];
    publisher_t publishers[PUBLISHERS];
    bool worker_up[WORKERS];
    uint64_t sessions;
    uint32_t numbers; /* events made */
    int64_t now_us;
    unsigned loss, chaos; /* per mille, of this world */
} world_t;

/* True so many times in a thousand. */
bool sim_dice(world_t *w, unsigned per_mille);
int64_t sim_between(world_t *w, int64_t low, int64_t high);
bool sim_in_faults(const world_t *w);
uint64_t sim_redis_us(const world_t *w);
fw_peer_t sim_peer_of(char kind, size_t number, uint64_t life);

/* Two links that keep their order, unless the world is unkind. */
void sim_send_to_gateway(world_t *w, size_t number, sim_kind_t kind, fw_bytes_t bytes);

void sim_start_broker(world_t *w);
void sim_broker_request(world_t *w, const sim_packet_t *packet);
void sim_broker_subscribe(world_t *w, const sim_packet_t *packet);
void sim_broker_publish(world_t *w, const sim_packet_t *packet);
void sim_broker_done(world_t *w, const sim_packet_t *packet);
void sim_note_located(void *context, fw_store_positions_t *positions);

void sim_worker_job(world_t *w, const sim_packet_t *packet);

void sim_run_publisher(world_t *w, size_t number);
void sim_publisher_ack(world_t *w, const sim_packet_t *packet);

/* What a gateway's uplink does. */
void sim_run_gateway(world_t *w, size_t number);
void sim_gateway_event(world_t *w, const sim_packet_t *packet);
void sim_gateway_reply(world_t *w, const sim_packet_t *packet);
