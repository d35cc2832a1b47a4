/* uplink.h - a shard's links to the broker: events, control, publish.
 * SPDX-License-Identifier: MPL-2.0
 * Owned by one shard; nothing blocks. Feeds the hub with what the broker says and asks for what the
 * hub wants. Liveness both ways: silence of FW_UPLINK_SILENCE_MS on either link closes both and
 * opens them anew after a jittered wait; then every topic is subscribed again behind a fence and
 * every position is asked for. */
#pragma once

#include <uv.h>

#include "clients/c/publisher.h"
#include "gateway/gateway_metrics.h"
#include "gateway/hub.h"
#include "gateway/rooms.h"

enum {
    FW_UPLINK_SILENCE_MS = 3000,
    FW_UPLINK_PING_MS = 1000,
    FW_UPLINK_FRAMES_PER_TURN = 4096, /* then the sessions are flushed and the loop turns */
    FW_UPLINK_REPLAYS_PER_SECOND = 2000,
    FW_UPLINK_PUBLISH_TIMEOUT_MS = 10000,
    FW_UPLINK_COMMANDS_KEPT = 64, /* answers that are given again to what comes again */
};

typedef struct fw_uplink fw_uplink_t;

/* Commands about sessions: those that the broker brings, and what became of those that went out. */
typedef struct {
    void *context;
    /* Does it; how many sessions were concerned. */
    uint32_t (*obey)(void *context, const fw_session_command_t *command);
    void (*ended)(void *context, const fw_session_result_t *result);
} fw_uplink_commands_t;

typedef struct {
    const char *events_endpoint;
    const char *control_endpoint;
    const char *publish_endpoint;
    const fw_security_t *security; /* keys of the links, NULL = none; outlives it */
    uv_loop_t *loop;
    fw_hub_t *hub;
    fw_rooms_t *rooms;             /* NULL = no presence and no notes */
    fw_uplink_commands_t commands; /* obey NULL = commands are not taken */
    const fw_gateway_metrics_t *metrics;
    fw_publisher_done_fn *published; /* of events that went through fw_uplink_publisher */
    void *published_context;
} fw_uplink_options_t;

/* 0, or a negative errno: a bad endpoint, no descriptors. A broker that is not there is no error.
 */
int fw_uplink_new(const fw_uplink_options_t *options, int64_t now_ms, fw_uplink_t **ret_uplink)
    __attribute__((warn_unused_result));
/* Says goodbye. Events that wait for their acknowledgement are answered -ECANCELED. Its handles
 * close in the next turns of the loop. */
void fw_uplink_destroy(fw_uplink_t **self_p);

/* Takes what has come, at most FW_UPLINK_FRAMES_PER_TURN frames, and asks what the hub wants. True
 * when there may be more: then the loop must not sleep. To be called at every turn of the loop,
 * last thing before it sleeps: the descriptors only wake it. */
bool fw_uplink_turn(fw_uplink_t *self, int64_t now_ms) __attribute__((warn_unused_result));
/* Greets, pings, notices silence. To be called at least every 100 ms. */
void fw_uplink_tick(fw_uplink_t *self, int64_t now_ms);

/* An event of a client for those who are in the room now: its audience is one channel. 0, or a
 * negative errno when it cannot be sent now. */
int fw_uplink_pass(fw_uplink_t *self, const fw_event_t *event) __attribute__((warn_unused_result));

/* A command for all gateways, encoded as FW_LINK_GATEWAY_UP. 0, or a negative errno when it cannot
 * be sent now. */
int fw_uplink_command(fw_uplink_t *self, fw_bytes_t frame) __attribute__((warn_unused_result));

bool fw_uplink_connected(const fw_uplink_t *self);
fw_publisher_t *fw_uplink_publisher(fw_uplink_t *self);
