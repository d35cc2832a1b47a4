/* presence.h - who is in which room, across all gateways.   SPDX-License-Identifier: MPL-2.0
 * Pure. Gateway shards report absolute numbers of sessions; a shard that is silent, or a connection
 * that was lost, starts the grace of its users: who is back before it is over never left. What
 * changed in a room goes out in batches, as steps between versions; a version names one list of
 * members for ever. Bounded: a room with more than members_max users is told by its count only;
 * when all memory is used newcomers are not recorded and their room is told so too. */
#pragma once

#include "proto/message.h"

enum {
    FW_PRESENCE_BATCH_US = 100 * 1000,        /* between two batches of one room */
    FW_PRESENCE_COUNT_US = 1000 * 1000,       /* the same for a room with too many users */
    FW_PRESENCE_SILENCE_US = 3 * 1000 * 1000, /* then a gateway's users are in their grace */
    FW_PRESENCE_BATCH_MAX = 256,              /* users in one step; beyond: several steps */
};

typedef struct {
    int64_t grace_us;
    uint32_t members_max; /* 1..FW_PRESENCE_MEMBERS_MAX; beyond: a count only */
    size_t bytes_max;     /* of all rooms; beyond: users are not recorded */
} fw_presence_limits_t;

typedef struct {
    void *context;
    void (*note)(void *context, const fw_note_t *note);
    /* This gateway should report everything again. */
    void (*again)(void *context, const uint8_t incarnation[FW_INCARNATION_SIZE]);
} fw_presence_output_t;

typedef struct {
    size_t gateways;
    size_t rooms;
    size_t members;
    size_t bytes;
    uint64_t reports;
    uint64_t notes;
    uint64_t refused; /* users that were not recorded for want of memory */
} fw_presence_counts_t;

typedef struct fw_presence fw_presence_t;

/* epoch: random, not 0; another one at every start. */
fw_presence_t *fw_presence_new(const fw_presence_limits_t *limits, uint64_t epoch,
                               const fw_presence_output_t *output, int64_t now_us)
    __attribute__((warn_unused_result));
void fw_presence_destroy(fw_presence_t **self_p);
const fw_presence_counts_t *fw_presence_counts(const fw_presence_t *self);

/* A sign of life. False when the gateway's users are not known: it should report everything. */
bool fw_presence_heard(fw_presence_t *self, const uint8_t incarnation[FW_INCARNATION_SIZE],
                       int64_t now_us);
/* Takes a report; the answer is always to be sent. Rooms that are none are passed over. */
fw_presence_ack_t fw_presence_report(fw_presence_t *self,
                                     const uint8_t incarnation[FW_INCARNATION_SIZE],
                                     const fw_presence_report_t *report, int64_t now_us);
/* It said goodbye: the grace of its users begins. */
void fw_presence_gone(fw_presence_t *self, const uint8_t incarnation[FW_INCARNATION_SIZE],
                      int64_t now_us);

/* Who is in a room, as of the last step. The members are valid until the next call. */
void fw_presence_ask(fw_presence_t *self, const fw_room_version_t *asked, int64_t now_us,
                     fw_presence_reply_t *ret_reply);

/* Does what is due. */
void fw_presence_tick(fw_presence_t *self, int64_t now_us);
/* When tick has something to do at the latest; INT64_MAX when never. */
int64_t fw_presence_next_us(const fw_presence_t *self);
