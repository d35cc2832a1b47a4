/* roster_internal.h - what the files of the roster share; for nobody else.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "gateway/roster.h"
#include "runtime/hash.h"

typedef struct fw_roster_room fw_roster_room_t;

/* A user with sessions here. */
typedef struct fw_roster_user {
    UT_hash_handle hh;
    struct fw_roster_user *prev, *next; /* in the list of those to be reported */
    fw_roster_room_t *room;
    uint32_t sessions;
    uint32_t sent; /* sessions in the report under way */
    bool dirty;    /* in that list */
    bool flying;   /* in the report under way */
    bool known;    /* the broker has heard of it */
    bool left;     /* on purpose */
    uint8_t id_size;
    char id[];
} fw_roster_user_t;

/* A user somewhere. */
typedef struct {
    UT_hash_handle hh;
    uint32_t sessions;
    bool stale; /* was not in the last list */
    uint8_t id_size;
    char id[];
} fw_roster_member_t;

struct fw_roster_room {
    UT_hash_handle hh;
    fw_roster_room_t *watched_prev, *watched_next;
    fw_roster_room_t *needy_prev, *needy_next;
    fw_roster_user_t *users;
    fw_roster_member_t *members;
    uint32_t watchers;
    uint64_t epoch; /* 0 = the list is not known yet */
    uint64_t version;
    uint64_t count;
    uint64_t seen_epoch; /* of the newest step that could not be used */
    uint64_t seen_version;
    uint64_t request_id; /* of the question under way; 0 = none */
    int64_t asked_ms;
    int64_t settles_ms; /* when to ask a broker that was new; 0 = it was not */
    bool too_many;
    bool cropped; /* too_many for want of memory here */
    bool needy;   /* in the list of those to be asked about */
    uint8_t name_size;
    char name[];
};

struct fw_roster {
    fw_roster_output_t output;
    fw_roster_counts_t counts;
    size_t bytes_max;
    fw_roster_room_t *rooms;
    fw_roster_room_t *watched;
    fw_roster_room_t *needy;
    size_t watched_count;
    size_t asked_count;
    int64_t scan_ms; /* when those to be asked about were looked at last; 0 = look now */
    bool quiet;      /* changes are not told: the whole list will be */
    fw_roster_user_t *dirty;
    /* The report under way. */
    uint64_t number;
    bool flying;
    bool begins; /* the next report starts over */
    bool starting;
    bool first;           /* somebody came into an empty list: its batch begins now */
    size_t starting_left; /* users that it must name before it is complete */
    int64_t sent_ms;
    int64_t due_ms;
    fw_presence_report_t report;
    fw_roster_user_t *flight[FW_PRESENCE_CHANGES_MAX];
    size_t flight_count;
    fw_room_member_t said[FW_PRESENCE_CHANGES_MAX];
    fw_room_members_t said_rooms[FW_PRESENCE_ROOMS_MAX];
    fw_room_version_t asked[FW_PRESENCE_QUESTIONS_MAX];
    fw_roster_change_t changes[FW_ROSTER_CHANGES_MAX];
    size_t changes_count;
    fw_room_member_t *list;
    size_t list_capacity;
};

static inline fw_text_t fw_roster_name(const fw_roster_room_t *room)
{
    return (fw_text_t){room->name, room->name_size};
}

/* roster.c */
fw_roster_room_t *fw_roster_room(fw_roster_t *self, fw_text_t channel);
void fw_roster_forget_if_unused(fw_roster_t *self, fw_roster_room_t *room);

/* roster_lists.c */
void fw_roster_clear_list(fw_roster_t *self, fw_roster_room_t *room);
/* The room is to be asked about, or not any more. */
void fw_roster_need(fw_roster_t *self, fw_roster_room_t *room);
void fw_roster_need_not(fw_roster_t *self, fw_roster_room_t *room);
