/* rooms_world.h - gateways, a broker, and what lies between them.   SPDX-License-Identifier:
 * MPL-2.0 For the simulation of rooms only. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/presence.h"
#include "gateway/roster.h"
#include "proto/codec.h"
#include "runtime/random.h"

enum {
    GATEWAYS = 3,
    ROOMS = 3,
    USERS = 40,
    ANCHOR =
        0, /* a user with a session at gateway 0 in every room, from the beginning to the end */
    STEP_MS = 20,
    GRACE_MS = 15 * 1000,
    OUTAGE_MS_MAX = 5000,
    DELAY_MS_MAX = 250,
    PACKETS_MAX = 4096,
    BROKER = GATEWAYS, /* as an address */
};

typedef struct {
    int to, from;
    bool note;
    int64_t due_ms;
    size_t size;
    uint8_t *bytes;
    uint32_t life; /* of the gateway that it is to or from */
} packet_t;

typedef struct world world_t;

typedef struct {
    world_t *world;
    int index;
    uint32_t life;
    uint8_t incarnation[FW_INCARNATION_SIZE];
    fw_roster_t *roster;
    int64_t link_up_ms; /* when the link is there again; in the past: it is */
    bool linked;
    int64_t pinged_ms;
    uint32_t sessions[ROOMS][USERS];
    uint32_t watchers[ROOMS];
    bool known[ROOMS];
    bool too_many[ROOMS];
    uint64_t count[ROOMS];
    uint32_t view[ROOMS][USERS]; /* what those who watch have been told */
    uint64_t last_request;
} gateway_t;

struct world {
    fw_random_t random;
    int64_t now_ms;
    bool chaos;
    uint32_t members_max;
    fw_presence_t *presence;
    fw_codec_t *codec;
    fw_codec_t *other;
    gateway_t gateways[GATEWAYS];
    packet_t packets[PACKETS_MAX];
    size_t packets_count;
    int64_t told_ms[ROOMS]; /* last note of the broker */
    uint64_t notes, reports, changes;
};

extern const char *const rooms[ROOMS];

uint32_t below(world_t *world, uint32_t bound);
fw_text_t user_name(int user, char buffer[16]);
void start_broker(world_t *world);
void start_gateway(world_t *world, int index);
void stop_gateway(gateway_t *self);
void enter(gateway_t *self, int room, int user);
/* What is due arrives; everybody says what there is to be said. */
void deliver(world_t *world);
void gateway_speaks(gateway_t *self);
