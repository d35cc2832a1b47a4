/* presence_internal.h - what the files of presence share; for nobody else.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "broker/presence.h"
#include "broker/timers.h"
#include "runtime/hash.h"

typedef struct fw_presence_gateway fw_presence_gateway_t;
typedef struct fw_presence_member fw_presence_member_t;
typedef struct fw_presence_room fw_presence_room_t;

/* The sessions of one user in one room at one gateway. */
typedef struct fw_presence_seat {
    struct fw_presence_seat *member_prev, *member_next;
    struct fw_presence_seat *gateway_prev, *gateway_next;
    fw_presence_gateway_t *gateway;
    fw_presence_member_t *member;
    uint32_t sessions;
    uint32_t generation;
} fw_presence_seat_t;

struct fw_presence_member {
    UT_hash_handle hh;
    fw_presence_member_t *prev, *next; /* in the room's list of changes */
    fw_presence_room_t *room;
    fw_presence_seat_t *seats;
    fw_timer_t leaves; /* set while nobody vouches for it */
    uint64_t live;     /* sessions at gateways that are heard */
    uint32_t told;     /* sessions as of the room's version; 0 = is not in the list */
    uint32_t last;     /* sessions when somebody vouched for it last */
    bool changed;
    uint8_t id_size;
    char id[];
};

struct fw_presence_room {
    UT_hash_handle hh;
    fw_presence_member_t *members;
    fw_presence_member_t *changes;
    fw_timer_t due;
    uint64_t version;
    uint32_t told_count;
    bool empty;    /* nobody was told yet */
    bool too_many; /* as of the version */
    bool refused;  /* somebody could not be recorded */
    uint8_t name_size;
    char name[];
};

struct fw_presence_gateway {
    UT_hash_handle hh;
    fw_presence_seat_t *seats;
    uint64_t number; /* of its last report */
    int64_t seen_us;
    uint32_t generation;
    bool starting; /* between begin and complete */
    bool silent;
    uint8_t incarnation[FW_INCARNATION_SIZE];
};

struct fw_presence {
    fw_presence_limits_t limits;
    fw_presence_output_t output;
    fw_presence_counts_t counts;
    fw_presence_gateway_t *gateways;
    fw_presence_room_t *rooms;
    fw_timers_t *leaving; /* members */
    fw_timers_t *due;     /* rooms */
    fw_room_member_t *list;
    size_t list_capacity;
    uint64_t epoch;
    uint64_t clock; /* the last version given to any room */
    int64_t settled_us;
    int64_t ticked_us;
    int64_t look_us;
    int64_t recover_us; /* when refused users may be asked for again; 0 = there are none */
};

/* presence.c */
/* What its room should be told: 0 = is not there. */
uint32_t fw_presence_sessions_of(const fw_presence_member_t *member);
/* Nobody may vouch for it any more (assert). */
void fw_presence_remove_member(fw_presence_t *self, fw_presence_member_t *member);
/* The room is to be told something. */
void fw_presence_schedule(fw_presence_t *self, fw_presence_room_t *room, int64_t now_us);
void fw_presence_close_room_if_empty(fw_presence_t *self, fw_presence_room_t *room);

/* presence_tell.c: tells a room what has changed since the last time. */
void fw_presence_flush(fw_presence_t *self, fw_presence_room_t *room);
