/* broker.h - the broker: sequences events, holds them until purged, releases them.
 * SPDX-License-Identifier: MPL-2.0 One actor that owns the five sockets; everything it decides is
 * in the pure files beside it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/health.h"
#include "runtime/metrics.h"
#include "runtime/security.h"

typedef struct {
    /* Comma-separated endpoints to bind. */
    const char *fire_endpoints;    /* 7001, XSUB: fire and forget */
    const char *publish_endpoints; /* 7002, ROUTER: acknowledged */
    const char *jobs_endpoints;    /* 7003, ROUTER: workers */
    const char *events_endpoints;  /* 7004, XPUB: gateways */
    const char *control_endpoints; /* 7005, ROUTER: gateways */
    uint32_t credit;               /* events a publisher may have unacknowledged */
    int64_t barrier_first_ms;      /* then the job also goes to another worker */
    int64_t barrier_timeout_ms;    /* then the event is released unconfirmed */
    int64_t hold_timeout_ms;       /* the same in channels whose rule says barrier=hold */
    bool cache;              /* workers purge one; else there is nothing to open, close or flush */
    int64_t open_timeout_ms; /* answers to gateways wait so long for the cache to be opened */
    uint32_t held_max;       /* events waiting in the barrier */
    uint32_t jobs_max; /* purges of events released unconfirmed; beyond it the cache is flushed */
    uint32_t beacon_interval_ms;
    size_t queue_bytes_max;           /* of frames that wait for gateways that do not read, about */
    uint32_t subscriptions_max;       /* topics that one connection may subscribe to in a minute */
    size_t held_bytes_max;            /* their bytes */
    size_t jobs_bytes_max;            /* of those purges */
    size_t dedupe_bytes_max;          /* of the ids remembered */
    int64_t dedupe_ms;                /* the same id within this time is the same event */
    uint32_t dedupe_max;              /* ids remembered at most */
    uint32_t history_events_max;      /* per channel */
    size_t history_channel_bytes_max; /* per channel */
    int64_t history_ms;               /* age of the oldest event kept */
    const char *const *channel_rules; /* see policies.h */
    size_t channel_rules_count;
    uint32_t channels_max;
    size_t history_bytes_max;       /* of all channels */
    size_t replay_bytes_per_second; /* to all gateways together */
    int64_t fire_repair_ms; /* an event that the fire-and-forget link lost may come so much later */
    bool fire_reset; /* afterwards channels are reset and the cache is flushed; else only counted */
    int64_t presence_grace_ms;     /* who comes back to a room within it never left */
    uint32_t presence_members_max; /* users of one room; beyond, only their number is told */
    size_t presence_bytes_max;     /* of who is in which room; beyond, users are not recorded */
    const fw_security_t *security; /* keys of the links, NULL = none; outlives it */
} fw_broker_config_t;

typedef struct fw_broker fw_broker_t;

/* The documented defaults, endpoints on 127.0.0.1. */
fw_broker_config_t fw_broker_defaults(void);

/* Binds everything and starts the actor. config is copied except its texts, which must outlive the
 * broker, as must metrics and health. 0 or a negative errno (-EADDRINUSE …). */
int fw_broker_start(const fw_broker_config_t *config, fw_metrics_t *metrics, fw_health_t *health,
                    fw_broker_t **ret_broker) __attribute__((warn_unused_result));

typedef struct {
    char fire[128], publish[128], jobs[128], events[128], control[128];
} fw_broker_endpoints_t;

/* The last endpoint that each socket got, with real ports. */
void fw_broker_endpoints(const fw_broker_t *self, fw_broker_endpoints_t *ret_endpoints);

/* Drains for at most two seconds (credit withdrawn, barrier emptied, goodbye to every peer) and
 * joins. NULL-safe. */
void fw_broker_stop(fw_broker_t **self_p);
