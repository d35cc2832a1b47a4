/* desk.h - an actor that answers the admin API about sessions.   SPDX-License-Identifier: MPL-2.0
 * It passes commands to a shard, which passes them to the broker, and asks every shard for its part
 * of a list. Bounded: FW_DESK_REQUESTS_MAX wait at once; each is answered within FW_DESK_TIME_MS.
 *
 * | frame   | from    | holds                                                |
 * |---------|---------|------------------------------------------------------|
 * | HELLO   | a shard | its number                                           |
 * | COMMAND | desk    | a message of FW_LINK_GATEWAY_UP, for the broker      |
 * | RESULT  | a shard | what became of it                                    |
 * | LIST    | desk    | which sessions                                       |
 * | LISTED  | a shard | a line for each: its id, a blank, and a JSON object  |
 */
#pragma once

#include "gateway/shard_names.h"
#include "proto/session_messages.h"
#include "runtime/actor.h"
#include "runtime/health.h"
#include "runtime/metrics.h"

enum {
    FW_DESK_REQUESTS_MAX = 64,
    FW_DESK_TIME_MS = 3000,
    FW_DESK_LINE_SIZE_MAX = 4096, /* of LISTED */
    FW_DESK_REFUSED_SIZE = 64,
};

typedef enum {
    FW_DESK_HELLO = 1,
    FW_DESK_COMMAND,
    FW_DESK_RESULT,
    FW_DESK_LIST,
    FW_DESK_LISTED,
} fw_desk_kind_t;

/* What every frame begins with; what is in it depends on the kind. Bytes may follow. */
typedef struct {
    uint32_t kind; /* fw_desk_kind_t */
    uint32_t shard;
    uint64_t request;
    uint32_t gateways, answered; /* RESULT */
    uint64_t sessions;           /* RESULT */
    uint64_t after;              /* LIST */
    uint32_t limit;              /* LIST */
    uint32_t text_size;
    char text[FW_USER_ID_SIZE_MAX + 4]; /* RESULT: why it was refused; LIST: the user */
} fw_desk_frame_t;

/* Belongs to the gateway and outlives the actor. */
typedef struct {
    const char *admin_endpoint;  /* inproc, bound here */
    const char *shards_endpoint; /* inproc, bound here */
    uint32_t shards;
    fw_metrics_t *metrics;
    fw_pulse_t *pulse;
} fw_desk_args_t;

/* The actor's body; args is a fw_desk_args_t. */
void fw_desk_run(zsock_t *pipe, void *args);
