/* gateway.h - the edge: browsers connect here.   SPDX-License-Identifier: MPL-2.0
 * k equal shards, each a thread with its own loop, listening socket, sessions, rings and broker
 * links; they share nothing but the port. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/proxy_protocol.h"
#include "gateway/tokens_config.h"
#include "runtime/health.h"
#include "runtime/metrics.h"
#include "runtime/security.h"

/* The backend that decides about rooms, beside the token. */
typedef struct {
    const char *url;     /* "" = the token alone decides */
    const char *key;     /* sent as Authorization: Bearer; "" = none */
    const char *ca_file; /* PEM of issuers to trust; "" = the system's */
    int64_t timeout_ms;
    uint32_t concurrency;    /* questions at once, of a shard */
    uint32_t remembered_max; /* answers, of a shard */
} fw_authorise_config_t;

enum { FW_AUTHORISE_CONCURRENCY_MAX = 64 };

typedef struct {
    const char *listen; /* host:port of the public listener; port 0 = a free one */
    const char *prefix; /* of every path, "" or for example "/api" (as the seed's "/api/ws") */
    const char *events_endpoint;  /* of the broker, 7004 */
    const char *control_endpoint; /* of the broker, 7005 */
    const char *publish_endpoint; /* of the broker, 7002 */
    uint32_t shards;
    fw_tokens_config_t tokens;       /* whose are accepted; none = nobody can authenticate */
    const char *const *publish_keys; /* bearer keys of POST /v1/events; none = refused */
    size_t publish_keys_count;
    const char *const *origins; /* allowed Origin values; none = any */
    size_t origins_count;
    bool anonymous;        /* sessions without a token may use /ws */
    uint32_t sessions_max; /* per shard */
    uint32_t channels_per_session_max;
    uint32_t message_bytes_max;  /* one inbound WebSocket message */
    uint32_t ring_events_max;    /* per channel */
    size_t ring_bytes_max;       /* per channel */
    size_t rings_bytes_max;      /* all channels of a shard */
    size_t control_bytes_max;    /* messages that wait for slow sessions of a shard */
    const char *const *channels; /* rules, see delays.h */
    size_t channels_count;
    int64_t linger_ms;                  /* a channel nobody shows is kept for so long */
    int64_t hello_ms;                   /* deadline for fw.hello */
    int64_t ping_ms;                    /* between pings */
    int64_t pong_ms;                    /* then a silent session is closed */
    int64_t drain_delay_ms;             /* unready, still serving */
    int64_t drain_window_ms;            /* sessions are closed over this time */
    uint32_t reconnect_window_ms;       /* told to clients */
    uint32_t reconnects_per_second;     /* that the others can take; widens it in a drain */
    int64_t connection_age_max_ms;      /* sessions are closed before they are older; 0 = never */
    const char *tls_certificate;        /* PEM file of the public listener; "" = no TLS */
    const char *tls_key;                /* PEM file, not encrypted */
    fw_proxy_protocol_t proxy_protocol; /* every connection begins with such a header */
    const char *const
        *trusted_proxies; /* ranges whose X-Forwarded-For is believed; none = nobody's */
    size_t trusted_proxies_count;
    uint32_t accepts_per_second;        /* of a shard; 0 = as fast as they come */
    uint32_t half_open_max;             /* connections of a shard without a request */
    uint32_t sessions_per_user_max;     /* in a shard; 0 = no limit */
    uint32_t sessions_per_address_max;  /* likewise; private addresses are not counted */
    int64_t request_ms;                 /* for the head of a request */
    int64_t body_ms;                    /* for its body */
    uint32_t client_publish_per_second; /* events of one session; 0 = clients may not publish */
    size_t client_publish_bytes_max;    /* of the data of one */
    bool client_publish_keep;           /* keep:true is allowed */
    const char *const *client_publish_types; /* patterns; none = every type */
    size_t client_publish_types_count;
    fw_authorise_config_t authorise;
    const char *admin_endpoint; /* inproc: answers /v1/sessions of the admin port; "" = does not */
    const fw_security_t *security; /* keys of the links, NULL = none; outlives it */
} fw_gateway_config_t;

typedef struct fw_gateway fw_gateway_t;

fw_gateway_config_t fw_gateway_defaults(void);

/* Listens and starts the shards; they reach the broker in the background. Ownership as in broker.h.
 * 0 or a negative errno. */
int fw_gateway_start(const fw_gateway_config_t *config, fw_metrics_t *metrics, fw_health_t *health,
                     fw_gateway_t **ret_gateway) __attribute__((warn_unused_result));
/* Takes over what can change while it runs: keys, origins, limits, times, anonymous, what clients
 * may publish; a certificate is read again in any case. Sessions stay. 0; a negative errno when
 * something is wrong, which is logged: then nothing has changed. */
int fw_gateway_reload(fw_gateway_t *self, const fw_gateway_config_t *fresh)
    __attribute__((warn_unused_result));
/* The port of the public listener. */
int fw_gateway_port(const fw_gateway_t *self);
/* Unready at once, then sessions are closed with 4000 paced over the drain window. Returns when
 * that is over, or soon after fw_gateway_abort; at once when it was done before. */
void fw_gateway_drain(fw_gateway_t *self);
/* Drains, unless that was done, and joins. NULL-safe. No other thread may use the gateway any more.
 */
void fw_gateway_stop(fw_gateway_t **self_p);
/* Closes every session now and makes a running or later drain return soon; any thread, any number
 * of times, while the gateway lives. */
void fw_gateway_abort(fw_gateway_t *self);
