/* broker_loop.h - the broker's actor: its sockets and what its files share.
 * SPDX-License-Identifier: MPL-2.0 Internal to broker/. Everything here belongs to the one broker
 * thread. */
#pragma once

#include "broker/broker.h"
#include "broker/core.h"
#include "broker/fire_gaps.h"
#include "broker/permissions.h"
#include "broker/subscriptions.h"
#include "runtime/cut.h"
#include "runtime/handshakes.h"
#include "runtime/keyguard.h"
#include "runtime/log.h"
#include "runtime/socket.h"

/* The name of a door in metrics and the log. */
typedef enum {
    FW_DOOR_FIRE = FW_DOMAIN_FIRE,
    FW_DOOR_PUBLISH = FW_DOMAIN_PUBLISH,
    FW_DOOR_JOBS = FW_DOMAIN_JOBS,
    FW_DOOR_EVENTS = FW_DOMAIN_EVENTS,
    FW_DOOR_CONTROL = FW_DOMAIN_CONTROL,
    FW_DOORS = FW_DOMAINS
} fw_door_t;

/* A gateway shard that said hello. */
typedef struct fw_broker_gateway fw_broker_gateway_t;
typedef struct fw_broker_rooms fw_broker_rooms_t;
typedef struct fw_broker_sessions fw_broker_sessions_t;

/* A question of a gateway that waits for its answer. */
typedef struct fw_broker_question fw_broker_question_t;

/* Jobs that one worker is to get. */
typedef struct fw_broker_batch fw_broker_batch_t;

typedef struct {
    fw_broker_config_t config;
    uint8_t incarnation[FW_INCARNATION_SIZE];
    const fw_broker_endpoints_t *endpoints;
    bool doors_closed; /* for want of descriptors */
    bool door_closed[FW_DOORS];
    zsock_t *fire; /* NULL while draining */
    zsock_t *publish, *jobs, *events, *control;
    fw_handshakes_t *handshakes[FW_DOORS];
    fw_keyguard_t *guard;      /* NULL when the links have no keys */
    const fw_holder_t *sender; /* of the message at hand; NULL = this process, or no keys */
    fw_codec_t *decoder;       /* of what came in */
    fw_codec_t *encoder;       /* of what goes out while the decoded message is still in use */
    fw_policies_t *policies;
    fw_core_t *core;
    fw_fire_gaps_t *fire_gaps;
    fw_metrics_t *registry;
    fw_broker_batch_t *batches; /* of jobs, one for each worker */
    fw_broker_gateway_t *gateways;
    fw_broker_rooms_t *rooms;
    fw_broker_sessions_t *sessions;
    fw_broker_question_t *waiting; /* in the order in which they came */
    size_t waiting_count;
    int64_t replay_tokens; /* bytes that may be replayed now; below 0 replays wait */
    int64_t replay_filled_us;
    fw_subscriptions_t *subscriptions;
    in_port_t events_port; /* of the event link, 0 = not on TCP */
    uint64_t sizes;        /* of the frames since the queue was fitted: their sum, */
    uint64_t squares;      /* and the sum of their squares */
    int queue_frames_max;  /* what is set */
    uint64_t unsubscribed; /* topics that nobody needs any more */
    bool trims;            /* memory is to be given back to the system */
    bool audited;          /* somebody subscribes to FW_TOPIC_AUDIT */
    int64_t audit_second;  /* the one that audit_told counts in */
    uint32_t audit_told;
    int events_sender; /* descriptor of the message at hand there; -1 inside this process */
    uint64_t beacon_number;
    int64_t now_us;
    int64_t wall_ms;
    struct {
        fw_counter_t *sent_frames, *sent_bytes, *send_dropped, *replays[FW_REPLAY_RESET + 1],
            *positions, *fences, *questions_dropped, *fire_repaired, *fire_lost, *fire_repeated,
            *subscriptions_cut, *doors_closed;
        fw_gauge_t *gateways, *questions_waiting, *fire_missing;
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

/* fire.c: losses of the fire-and-forget link. user is the key of the connection, or empty. */
void fw_broker_fire_begin(fw_broker_loop_t *self);
/* False for an event that came before: it is not to be published again. */
bool fw_broker_fire_is_new(fw_broker_loop_t *self, const fw_publish_t *publish, fw_text_t user);
void fw_broker_fire_show(fw_broker_loop_t *self);

/* jobs.c: workers. */
void fw_broker_on_worker(fw_broker_loop_t *self, const fw_peer_t *worker, fw_bytes_t frame);
/* Takes a job for a worker; it leaves with the others of this turn of the loop. */
int fw_broker_send_job(void *loop, const fw_peer_t *worker, const fw_job_t *job);
/* Sends what has been taken. A worker that cannot be sent anything is gone. */
void fw_broker_send_jobs(fw_broker_loop_t *self);
void fw_broker_forget_jobs(fw_broker_loop_t *self);

/* egress.c: the event link. */
void fw_broker_deliver(void *loop, const fw_delivery_t *delivery);
void fw_broker_beacon(fw_broker_loop_t *self);
/* Fits how many frames may wait for one gateway to how large they are. */
void fw_broker_fit_queue(fw_broker_loop_t *self);
/* Leaves out a beacon's number, on which every gateway looks at all its positions. */
void fw_broker_alarm(void *loop);
/* Tells auditors, if there are any. */
void fw_broker_purged(void *loop, const fw_purged_t *purged);
void fw_broker_on_subscription(fw_broker_loop_t *self, fw_bytes_t frame);

/* A frame of the event link; dropped for who does not read. */
void fw_broker_send_event(fw_broker_loop_t *self, fw_bytes_t frame);

/* doors.c: looks whether descriptors run out. */
void fw_broker_watch_descriptors(fw_broker_loop_t *self);

/* recovery.c: gateways. */
void fw_broker_on_gateway(fw_broker_loop_t *self, const fw_peer_t *gateway, fw_bytes_t frame);
void fw_broker_forget_silent_gateways(fw_broker_loop_t *self);
void fw_broker_goodbye_gateways(fw_broker_loop_t *self);
void fw_broker_forget_gateways(fw_broker_loop_t *self);
/* Answers questions whose time has come. */
void fw_broker_answer_waiting(fw_broker_loop_t *self);
/* When it can answer the next; INT64_MAX when none waits. */
int64_t fw_broker_next_answer_us(const fw_broker_loop_t *self);
/* NULL when no shard with this incarnation is connected. */
fw_broker_gateway_t *fw_broker_gateway_of(fw_broker_loop_t *self,
                                          const uint8_t incarnation[FW_INCARNATION_SIZE]);
