/* roster.h - who is in the rooms of this shard, and who is in them anywhere.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. What sessions do here is reported to the broker in batches, one report under way at a time,
 * again until it is acknowledged. Of rooms that somebody watches it keeps the broker's list, step
 * by step; a step that is missing is asked for as a whole list, and whoever watches is told the
 * difference. A list that was asked of a broker that is new itself only adds: who is missing may
 * only be late. */
#pragma once

#include "proto/message.h"

enum {
    FW_ROSTER_BATCH_MS = 100,    /* between two reports */
    FW_ROSTER_ANSWER_MS = 3000,  /* then a question is asked again */
    FW_ROSTER_REPORT_MS = 1000,  /* then a report is sent again */
    FW_ROSTER_CHANGES_MAX = 256, /* told at once */
    FW_ROSTER_ASKED_MAX = 64,    /* rooms whose answer is awaited; others wait */
    FW_ROSTER_AUDIT_S = 15,      /* every watched room is compared with the broker so often */
};

/* Somebody came, went, or has more or fewer sessions now. */
typedef struct {
    fw_text_t user_id;
    uint32_t before; /* sessions; 0 = was not there */
    uint32_t now;    /* 0 = is not there */
} fw_roster_change_t;

typedef struct {
    void *context;
    /* Whoever watches the room should be told; without changes: the number of users. */
    void (*changed)(void *context, fw_text_t channel, const fw_roster_change_t *changes,
                    size_t count);
    /* The list is known now, or became one of another kind: it is to be told as a whole. */
    void (*renewed)(void *context, fw_text_t channel);
    /* From now on every step of the room's list arrives. */
    bool (*ready)(void *context, fw_text_t channel);
} fw_roster_output_t;

typedef struct {
    size_t rooms;
    size_t users;   /* of this shard, once per room */
    size_t members; /* in lists */
    size_t bytes;   /* of all */
    uint64_t reports;
    uint64_t questions;
    uint64_t gaps; /* steps that were missing */
} fw_roster_counts_t;

typedef struct fw_roster fw_roster_t;

/* bytes_max: of lists; beyond, rooms are known by their number of users. */
fw_roster_t *fw_roster_new(size_t bytes_max, const fw_roster_output_t *output)
    __attribute__((warn_unused_result));
void fw_roster_destroy(fw_roster_t **self_p);
const fw_roster_counts_t *fw_roster_counts(const fw_roster_t *self);

/* A session of this user is in the room, or not any more; on_purpose: it said so. */
void fw_roster_enter(fw_roster_t *self, fw_text_t channel, fw_text_t user);
void fw_roster_leave(fw_roster_t *self, fw_text_t channel, fw_text_t user, bool on_purpose);
/* One more, or one less, wants to know who is there. */
void fw_roster_watch(fw_roster_t *self, fw_text_t channel);
void fw_roster_unwatch(fw_roster_t *self, fw_text_t channel);

/* What is known of a room: false = nothing yet. too_many: only the count is. */
typedef struct {
    uint64_t count;
    bool too_many;
    const fw_room_member_t *members; /* valid until the next call */
    size_t members_count;
} fw_roster_list_t;

bool fw_roster_list(fw_roster_t *self, fw_text_t channel, fw_roster_list_t *ret_list)
    __attribute__((warn_unused_result));

/* The broker said welcome: reports and questions begin anew. */
void fw_roster_linked(fw_roster_t *self);
/* Steps may have been lost. */
void fw_roster_suspect(fw_roster_t *self);
/* The report to be sent now; false when there is none. */
bool fw_roster_next_report(fw_roster_t *self, int64_t now_ms, fw_presence_report_t *ret_report)
    __attribute__((warn_unused_result));
/* The question to be sent now; false when there is none. */
bool fw_roster_next_question(fw_roster_t *self, int64_t now_ms, uint64_t request_id,
                             fw_presence_request_t *ret_request)
    __attribute__((warn_unused_result));

void fw_roster_acknowledged(fw_roster_t *self, const fw_presence_ack_t *ack, int64_t now_ms);
void fw_roster_answered(fw_roster_t *self, const fw_presence_reply_t *reply, int64_t now_ms);
void fw_roster_step(fw_roster_t *self, fw_text_t channel, const fw_presence_diff_t *diff);
/* To be called once a second: audits, and rooms whose list is to be asked for again. */
void fw_roster_tick(fw_roster_t *self, int64_t now_ms);
