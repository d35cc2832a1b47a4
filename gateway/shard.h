/* shard.h - an actor that serves browsers: one loop, one listening socket, its own rings and broker
 * links. SPDX-License-Identifier: MPL-2.0 Control: DRAIN begins the drain; STOP ends everything. */
#pragma once

#include "gateway/gateway.h"
#include "gateway/policy.h"
#include "runtime/actor.h"
#include "runtime/shared.h"

typedef struct fw_shard fw_shard_t;

/* Belongs to the gateway and outlives the actor. */
typedef struct {
    fw_shared_t *policies; /* of fw_policy_t; RELOAD: there is a newer one */
    unsigned number;
    int listen_fd;
    int abort_fd;   /* an eventfd: readable = close every session now */
    int drained_fd; /* an eventfd that counts the shards that have no session left */
    uint32_t sessions_max;
    const char *jwks_endpoint; /* of the actor that fetches keys; "" = none does */
    const char *desk_endpoint; /* "" = there is none */
    fw_metrics_t *metrics;
    fw_pulse_t *pulse;
    fw_condition_t *linked;   /* the links to the broker have been up */
    fw_condition_t *degraded; /* they are down again */
} fw_shard_args_t;

/* The actor's body; args is a fw_shard_args_t. */
void fw_shard_run(zsock_t *pipe, void *args);
