/* shard_door.h - what a shard does with a connection until it has become a session, and what it
 * sees of one afterwards before libwebsockets does.   SPDX-License-Identifier: MPL-2.0
 * Part of the shard; for nobody else. Every limit has a reason label of freshwire_refused_total. */
#pragma once

#include <uv.h>

#include "gateway/address.h"
#include "gateway/connection.h"
#include "gateway/limits.h"
#include "gateway/tally.h"

typedef struct fw_shard fw_shard_t;

/* A connection that has not finished its request; a deadline runs. */
typedef struct fw_guest {
    struct fw_guest *previous, *next;
    fw_connection_t *connection; /* NULL: its PROXY header is being read */
    int64_t deadline_ms;
    bool asking; /* the head of its request is there, the body is not */
} fw_guest_t;

/* In the order of their deadlines, since all of one list get the same time. */
typedef struct {
    fw_guest_t *first, *last;
    uint32_t count;
} fw_guests_t;

typedef struct {
    fw_guests_t arriving; /* no head of a request yet: half open */
    fw_guests_t asking;
    fw_bucket_t accepts;
    fw_tally_t *users;
    fw_tally_t *addresses;
    fw_address_range_t *trusted;
    size_t trusted_count;
    uint32_t visitors; /* connections whose PROXY header is being read */
    bool blind;        /* it was said that nothing is seen of what is read */
} fw_entrance_t;

void fw_door_open(fw_shard_t *self);
/* Lets everybody go who is not the library's yet. */
void fw_door_shut(fw_shard_t *self);
void fw_door_close(fw_shard_t *self);

/* Counts one that was accepted; false: the next one has to wait a moment. */
bool fw_door_accepts(fw_shard_t *self, int64_t now_ms);
/* A connection was accepted; fd is taken. */
void fw_door_arrive(fw_shard_t *self, int fd, const struct sockaddr *address);
/* Cuts whoever took too long. */
void fw_door_tick(fw_shard_t *self, int64_t now_ms);

/* The head of a request has come. */
void fw_door_asked(fw_shard_t *self, struct lws *wsi);
/* So has the rest: no deadline any more. */
void fw_door_settled(fw_shard_t *self, fw_connection_t *connection);
/* A session begins; a code other than FW_CLOSE_NONE: close it. */
fw_close_t fw_door_enter(fw_shard_t *self, fw_connection_t *connection)
    __attribute__((warn_unused_result));
/* Its user may be known now. */
fw_close_t fw_door_known(fw_shard_t *self, fw_connection_t *connection)
    __attribute__((warn_unused_result));
/* The session ends; NULL-safe in all it counted. */
void fw_door_leave(fw_shard_t *self, fw_connection_t *connection);
/* The connection is gone. */
void fw_door_gone(fw_shard_t *self, fw_connection_t *connection);
