/* gateway_metrics.h - every series of the gateway, looked up once.
 * SPDX-License-Identifier: MPL-2.0
 * All shards share the series. */
#pragma once

#include "gateway/auth.h"
#include "gateway/close_code.h"
#include "runtime/metrics.h"

/* Why something from outside was refused: door and reason of freshwire_refused_total. */
typedef enum {
    FW_REFUSED_CONNECTIONS,  /* accepted and closed at once: too many connections */
    FW_REFUSED_HALF_OPEN,    /* cut for a newer one, having waited longest without a request */
    FW_REFUSED_LATE,         /* cut: its request did not come in time */
    FW_REFUSED_PROXY_HEADER, /* cut: it did not begin with the header of a proxy */
    FW_REFUSED_ADDRESS,      /* too many sessions of one address */
    FW_REFUSED_USER,         /* too many sessions of one user */
    FW_REFUSED_FRAME,        /* a client broke a rule of the wire */
    FW_REFUSED_SESSIONS,
    FW_REFUSED_MEMORY, /* rings or waiting messages of a shard are at their limit */
    FW_REFUSED_DRAINING,
    FW_REFUSED_PATH,
    FW_REFUSED_ORIGIN,
    FW_REFUSED_HANDSHAKE,
    FW_REFUSED_NO_REQUEST, /* a connection that ended before anything understood was asked */
    FW_REFUSED_STREAM,     /* a request for server-sent events */
    FW_REFUSED_HTTP_PATH,  /* an HTTP request for what is not there: 404, 426 */
    FW_REFUSED_MESSAGE,    /* a client's message that was answered by fw.error */
    FW_REFUSED_EVENTS,     /* a frame of the broker that is none */
    FW_REFUSED_CONTROL,    /* an answer of the broker that is none */
    FW_REFUSED_COUNT,
} fw_refused_t;

/* What became of a token. */
typedef enum {
    FW_TOKEN_ACCEPTED,
    FW_TOKEN_EXPIRED,
    FW_TOKEN_UNKNOWN_KEY, /* it may be known soon */
    FW_TOKEN_REFUSED,
} fw_token_result_t;

enum { FW_TOKEN_RESULTS = FW_TOKEN_REFUSED + 1 };

/* How an HTTP publish ended; the label is its status. */
enum { FW_PUBLISH_STATUSES = 12 };

enum { FW_DISCONNECTS = 16 };

typedef struct {
    fw_histogram_t *delivery; /* uplink to socket */
    fw_histogram_t *age;      /* publisher's clock to uplink */
    fw_gauge_t *sessions;
    fw_gauge_t *connections;
    fw_gauge_t *subscriptions;
    fw_gauge_t *channels;
    fw_gauge_t *ring_bytes;
    fw_gauge_t *control_bytes;
    fw_gauge_t *uplink_connected;
    fw_gauge_t *degraded;
    fw_counter_t *opened_open;
    fw_counter_t *opened_refused;
    fw_counter_t *disconnects[FW_DISCONNECTS];
    fw_counter_t *received;
    fw_counter_t *irrelevant;
    fw_counter_t *duplicates;
    fw_counter_t *delivered;
    fw_counter_t *writes;
    fw_counter_t *written_bytes;
    fw_counter_t *messages;
    fw_counter_t *accepts_paced;
    fw_counter_t *certificates_loaded;
    fw_counter_t *certificates_refused;
    fw_gauge_t *certificate_expires; /* seconds since 1970 */
    fw_counter_t *resets[FW_RESETS];
    fw_counter_t *replays_complete;
    fw_counter_t *replays_reset;
    fw_counter_t *replays_paced;
    fw_counter_t *reopened;
    fw_counter_t *beacons_missed;
    fw_counter_t *refused[FW_REFUSED_COUNT];
    fw_counter_t *tokens[FW_DOORS][FW_TOKEN_RESULTS];
    fw_counter_t *publishes[FW_PUBLISH_STATUSES];
} fw_gateway_metrics_t;

void fw_gateway_metrics_init(fw_gateway_metrics_t *self, fw_metrics_t *registry);

/* Codes that are not ours: how a session ended without us. */
enum { FW_DISCONNECT_BY_PEER = 1, FW_DISCONNECT_LOST = 2 };

/* code: fw_close_code_t or one of the two above. */
fw_counter_t *fw_gateway_metrics_disconnect(const fw_gateway_metrics_t *self, int code);
fw_counter_t *fw_gateway_metrics_publish(const fw_gateway_metrics_t *self, unsigned status);
