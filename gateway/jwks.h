/* jwks.h - an actor that fetches the key set of who signs the tokens.   SPDX-License-Identifier:
 * MPL-2.0 A fetch blocks, so it has a thread of its own. What it fetched and looked through it
 * sends to every shard that has asked, as bytes; each makes its own keys of it. Control: STOP.
 *
 * | message | frame              | sent by | reply                                     |
 * |---------|--------------------|---------|-------------------------------------------|
 * | hello   | "h"                | shard   | keys, now and whenever they change        |
 * | unknown | "u"                | shard   | keys, if there are others, after a while  |
 * | keys    | "k" and the JWKS   | actor   |                                           |
 * | none    | "n"                | actor   |                                           |
 *
 * When the set cannot be fetched or holds nothing good, the last good keys stay for a while, and
 * then go: an address that does not answer never opens the door. */
#pragma once

#include "gateway/shard_names.h"
#include "gateway/tokens_config.h"
#include "runtime/actor.h"
#include "runtime/health.h"
#include "runtime/metrics.h"

enum {
    FW_JWKS_HELLO = 'h',
    FW_JWKS_UNKNOWN = 'u',
    FW_JWKS_KEYS = 'k',
    FW_JWKS_NONE = 'n',
    FW_JWKS_ENDPOINT_SIZE = 64,
    FW_JWKS_PATIENCE_MS = 30000, /* the gateway is not ready for so long, until there are keys */
};

/* Made whether a set is fetched or not, so that a dashboard finds them. */
typedef struct {
    fw_counter_t *fetched_new;
    fw_counter_t *fetched_same;
    fw_counter_t *fetch_failed;
    fw_gauge_t *keys;
    fw_gauge_t *fetched_at;
} fw_jwks_metrics_t;

void fw_jwks_metrics_init(fw_jwks_metrics_t *self, fw_metrics_t *registry);

/* Belongs to the gateway and outlives the actor. */
typedef struct {
    const fw_tokens_config_t *config;
    char endpoint[FW_JWKS_ENDPOINT_SIZE]; /* inproc: shards connect a DEALER to it */
    fw_condition_t *ready;                /* there are keys, or there was time enough to get some */
    fw_jwks_metrics_t metrics;
} fw_jwks_args_t;

/* The actor's body; args is a fw_jwks_args_t. */
void fw_jwks_run(zsock_t *pipe, void *args);
