/* shard_internal.h - what the files of the shard share; for nobody else.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <libwebsockets.h>
#include <uv.h>

#include "gateway/connection.h"
#include "gateway/dialogue.h"
#include "gateway/gateway_metrics.h"
#include "gateway/gather.h"
#include "gateway/problem.h"
#include "gateway/publish_request.h"
#include "gateway/shard.h"
#include "gateway/shard_door.h"
#include "gateway/tls.h"
#include "gateway/uplink.h"
#include "gateway/wakeup.h"
#include "runtime/log.h"
#include "runtime/random.h"

enum {
    FW_CLOSING_MS = 5000,  /* a session that does not take its close frame is cut off */
    FW_FAREWELL_MS = 1000, /* at the end of a drain: for close frames on their way */
    FW_SUBPROTOCOLS = 4,   /* none, ours, and the one that stands for unknown ones */
};

struct fw_shard {
    const fw_shard_args_t *args;
    const fw_policy_t *policy;         /* what is in force */
    const fw_gateway_config_t *config; /* of the policy */
    fw_gateway_metrics_t metrics;
    zsock_t *pipe;
    uv_loop_t loop;
    uv_poll_t listener;
    uv_poll_t abort;
    uv_timer_t ticker;
    uv_prepare_t prepare;
    uv_timer_t pacer;
    int64_t pacer_ms; /* when it fires; 0 = stopped */
    fw_delays_t *delays;
    uv_idle_t idle; /* active: the loop must not sleep */
    fw_wakeup_t *pipe_wakeup;
    struct lws_context *lws;
    struct lws_vhost *vhost;
    struct lws_protocols protocols[FW_SUBPROTOCOLS + 1];
    char unknown[FW_SUBPROTOCOL_SIZE_MAX + 1]; /* name of the last of protocols; see shard_http.c */
    fw_hub_t *hub;
    fw_auth_t *auth;
    struct fw_shard_rooms *rooms;           /* see shard_rooms.h */
    struct fw_shard_sessions *sessions_api; /* see shard_sessions.h */
    struct fw_shard_authorise *authorise;   /* see shard_authorise.h; NULL = the token decides */
    const fw_token_rules_t *token_rules;
    zsock_t *jwks; /* to the actor that fetches keys; NULL = none does */
    fw_wakeup_t *jwks_wakeup;
    int64_t keys_asked_ms; /* when it was last told of an unknown key */
    fw_dialogue_t dialogue;
    fw_wheel_t *wheel;
    fw_gather_t *gathers[FW_ENCODINGS][2]; /* by session->encoding and ->batch; made when needed */
    fw_codec_t *codec;                     /* for binary messages of clients */
    fw_uplink_t *uplink;
    fw_random_t random;
    fw_entrance_t door;
    fw_tls_t *tls;        /* NULL = none */
    fw_post_t *posts;     /* WAITING ones */
    uint32_t posts_count; /* all */
    uint32_t connections;
    uint32_t sessions;   /* not closing */
    uint32_t websockets; /* closing ones included */
    uint32_t sessions_max;
    fw_session_t **all; /* sessions that are not closing, for the drain */
    size_t all_capacity;
    int64_t accept_again_ms; /* 0 = accepting */
    int64_t ticked_ms;       /* the last slow tick */
    int64_t drain_began_ms;  /* 0 = not draining */
    int64_t emptied_ms;      /* when the drain had closed the last session; 0 = not yet */
    bool drained;
    bool aborted;
    bool stopping;
    uint32_t churn;        /* sessions that came or went since memory was given back */
    uint32_t churn_before; /* at the last slow tick */
    size_t control_bytes;  /* of messages that wait for slow sessions, at the last slow tick */
    uint64_t refused;      /* messages of clients; counted by the dialogue */
    uint64_t refused_reported;
    fw_hub_counts_t reported;
    uint32_t sessions_reported;
    uint32_t connections_reported;
    bool connected_reported;
    int64_t unlinked_ms;      /* since when the links are down; 0 = they are up */
    bool degraded;            /* so long that clients were told */
    uint32_t aged;            /* place in all, of the next session whose age is looked at */
    uint32_t drain_spread_ms; /* window for reconnects, told in a drain */
};

/* What lws_write with LWS_WRITE_RAW or LWS_WRITE_HTTP only reads, although it does not say so. */
static inline unsigned char *fw_unchanged(const void *bytes)
{
    union {
        const void *given;
        unsigned char *taken;
    } view = {.given = bytes};
    return view.taken;
}

#include "gateway/shard_parts.h" /* their functions */
