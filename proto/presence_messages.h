/* presence_messages.h - who is in which room, and notes, decoded.   SPDX-License-Identifier:
 * MPL-2.0 Pure. Every text and list is borrowed: from the codec that decoded it, or from the
 * sender. */
#pragma once

#include "proto/event.h"

enum {
    FW_PRESENCE_ROOMS_MAX = 512,         /* in one report */
    FW_PRESENCE_CHANGES_MAX = 512,       /* in one room of a report, and in one diff */
    FW_PRESENCE_QUESTIONS_MAX = 128,     /* in one request */
    FW_PRESENCE_MEMBERS_MAX = 10000,     /* in one reply: the most that may be configured */
    FW_PRESENCE_FROM_EMPTY = 1,          /* as the version before a step: nobody was there */
    FW_NOTE_SIZE_MAX = 160 * 1024,       /* encoded: changes, or a publication */
    FW_CLIENT_DATA_SIZE_MAX = 16 * 1024, /* of an event that a client publishes */
};

typedef struct {
    fw_text_t user_id;
    uint32_t sessions; /* 0 = is not there */
    bool left;         /* on purpose */
} fw_room_member_t;

typedef struct {
    fw_text_t channel;
    const fw_room_member_t *members;
    size_t members_count;
} fw_room_members_t;

typedef struct {
    uint64_t number;
    bool begin;
    bool complete;
    const fw_room_members_t *rooms;
    size_t rooms_count;
} fw_presence_report_t;

typedef struct {
    uint64_t number;
    bool again;
} fw_presence_ack_t;

typedef struct {
    fw_text_t channel;
    uint64_t epoch; /* 0 = tell everything */
    uint64_t version;
} fw_room_version_t;

typedef struct {
    uint64_t request_id;
    const fw_room_version_t *rooms;
    size_t rooms_count;
} fw_presence_request_t;

typedef struct {
    uint64_t request_id;
    fw_text_t channel;
    uint64_t epoch;
    uint64_t version;
    bool same;
    bool too_many;
    uint64_t count;
    const fw_room_member_t *members;
    size_t members_count;
    uint32_t settling_ms;
} fw_presence_reply_t;

typedef struct {
    uint64_t epoch;
    uint64_t previous;
    uint64_t version;
    uint64_t count;
    bool too_many;
    const fw_room_member_t *changes;
    size_t changes_count;
} fw_presence_diff_t;

typedef struct {
    fw_text_t channel;
    fw_bytes_t publication; /* encoded */
} fw_client_note_t;

/* A note on the event link: a change of presence, or (publication not empty) an event of a client
 * that nobody keeps. */
typedef struct {
    fw_text_t channel;
    fw_bytes_t publication;
    fw_presence_diff_t presence;
} fw_note_t;
