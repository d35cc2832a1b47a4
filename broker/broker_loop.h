/* broker_loop.h - the broker's actor: its sockets and what its files share.
 * SPDX-License-Identifier: MPL-2.0 Internal to broker/. Everything here belongs to the one broker
 * thread. */
#pragma once

#include "broker/broker.h"
#include "broker/core.h"
#include "runtime/handshakes.h"
#include "runtime/log.h"
#include "runtime/socket.h"

/* The name of a door in metrics and the log. */
typedef enum {
    FW_DOOR_FIRE,
    FW_DOOR_PUBLISH,
    FW_DOOR_JOBS,
    FW_DOOR_EVENTS,
    FW_DOOR_CONTROL,
    FW_DOORS
} fw_door_t;

/* A gateway shard that said hello. */
typedef struct fw_broker_gateway fw_broker_gateway_t;

typedef struct {
    fw_broker_config_t config;
    uint8_t incarnation[FW_INCARNATION_SIZE];
    zsock_t *fire, *publish, *jobs, *events, *control;
    fw_handshakes_t *handshakes[FW_DOORS];
    fw_codec_t *decoder; /* of what came in */
    fw_codec_t *encoder; /* of what goes out while the decoded message is still in use */
    fw_core_t *core;
    fw_metrics_t *registry;
    fw_broker_gateway_t *gateways;
    uint64_t beacon_number;
    int64_t now_us;
    int64_t wall_ms;
    struct {
        fw_counter_t *sent_frames, *sent_bytes, *send_dropped, *replays[FW_REPLAY_RESET + 1],
            *positions, *fences;
        fw_gauge_t *gateways;
    } metrics;
    fw_log_limit_t refusals_logged;
} fw_broker_loop_t;

/* Counts and logs a refused message; reason is a literal for the metric's label. */
void fw_broker_refused(fw_broker_loop_t *self, fw_door_t door, const char *reason,
                       const fw_refusal_t *refusal);
/* Sends to a peer; what cannot be sent now is dropped and counted, since every request is repeated
 * by its asker. */
void fw_broker_reply(fw_broker_loop_t *self, zsock_t *router, fw_link_t link, const fw_peer_t *peer,
                     const fw_message_t *message);
void fw_broker_welcome(fw_broker_loop_t *self, zsock_t *router, fw_link_t link,
                       const fw_peer_t *peer);
/* Does a peer speak our version? If not, it is told so, and counted. */
bool fw_broker_understands(fw_broker_loop_t *self, fw_door_t door, const fw_hello_t *hello,
                           const fw_peer_t *peer);

/* intake.c: events; publisher is NULL on the fire-and-forget link. */
void fw_broker_on_publisher(fw_broker_loop_t *self, const fw_peer_t *publisher, fw_bytes_t frame);
void fw_broker_acknowledge(void *loop, const fw_peer_t *publisher, const fw_publish_ack_t *ack);

/* jobs.c: workers. */
void fw_broker_on_worker(fw_broker_loop_t *self, const fw_peer_t *worker, fw_bytes_t frame);
int fw_broker_send_job(void *loop, const fw_peer_t *worker, const fw_job_t *job);

/* egress.c: the event link. */
void fw_broker_deliver(void *loop, const fw_delivery_t *delivery);
void fw_broker_beacon(fw_broker_loop_t *self);
void fw_broker_on_subscription(fw_broker_loop_t *self, fw_bytes_t frame);

/* recovery.c: gateways. */
void fw_broker_on_gateway(fw_broker_loop_t *self, const fw_peer_t *gateway, fw_bytes_t frame);
void fw_broker_forget_silent_gateways(fw_broker_loop_t *self);
void fw_broker_goodbye_gateways(fw_broker_loop_t *self);
void fw_broker_forget_gateways(fw_broker_loop_t *self);
