/* uplink_internal.h - what the files of the uplink share; for nobody else.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "gateway/uplink.h"
#include "gateway/wakeup.h"
#include "runtime/backoff.h"
#include "runtime/dial.h"
#include "runtime/log.h"
#include "runtime/socket.h"

enum {
    FW_FENCE_SIZE_MAX = 32,
    FW_UPLINK_JSON_SIZE_MIN = 4096,
};

struct fw_uplink {
    fw_uplink_options_t options;
    fw_codec_t *codec;
    fw_codec_t *note_codec; /* of publications inside messages */
    fw_dial_t *control_dial;
    fw_dial_t *events_dial;
    const char *control_at; /* chosen for the sockets to be opened; NULL = to be chosen */
    zsock_t *events;
    zsock_t *control;
    fw_publisher_t *publisher;
    fw_wakeup_t *events_wakeup;
    fw_wakeup_t *control_wakeup;
    fw_wakeup_t *publisher_wakeup;
    uint64_t publisher_socket;
    uint64_t id;                              /* names our fences */
    uint8_t incarnation[FW_INCARNATION_SIZE]; /* ours */
    uint8_t broker[FW_INCARNATION_SIZE];      /* of the last Welcome */
    uint8_t beacon[FW_INCARNATION_SIZE];      /* of the last beacon */
    uint64_t beacon_number;
    uint32_t beacon_interval_ms;
    bool known;    /* there was a Welcome once */
    bool welcomed; /* on this connection */
    bool fenced;   /* a fence came back over this connection */
    uint64_t last_request;
    uint64_t last_ping;
    int64_t now_ms; /* of the last turn or tick */
    int64_t greeted_ms;
    int64_t pinged_ms;
    int64_t control_heard_ms;
    int64_t events_heard_ms;
    int64_t beacon_heard_ms; /* 0 = none on this connection */
    int64_t strange_ms;      /* since when the two links are two brokers'; 0 = they are not */
    int64_t ticked_ms;
    int64_t reopen_ms; /* when the sockets are opened; 0 = they are open */
    fw_backoff_t backoff;
    int64_t replays_refilled_ms;
    uint32_t replays_left;
    char *json;
    size_t json_size;
    fw_log_limit_t logged;
    bool reported_connected;
    fw_session_done_t done[FW_UPLINK_COMMANDS_KEPT];
    size_t done_next;
    fw_entry_t *entries[FW_REPLAY_EVENTS_MAX];
};

/* uplink.c */
/* Over the control link. 0 or a negative errno. */
int fw_uplink_say(fw_uplink_t *self, const fw_message_t *message);
/* Logs at a limited rate. */
void fw_uplink_trouble(fw_uplink_t *self, int64_t now_ms, const char *message,
                       const fw_refusal_t *refusal);
/* option: ZMQ_SUBSCRIBE or ZMQ_UNSUBSCRIBE. */
void fw_uplink_subscribe(fw_uplink_t *self, int option, const char *topic, size_t size);
/* Writes the topic of a fence; returns its size. */
size_t fw_uplink_fence_topic(const fw_uplink_t *self, uint32_t fence,
                             char ret_topic[FW_FENCE_SIZE_MAX]);

/* Called when the link may just have become whole: welcomed and fenced. */
void fw_uplink_settled(fw_uplink_t *self);

/* uplink_input.c */
/* Receives until there is nothing more; false when the budget ended before. */
bool fw_uplink_receive_events(fw_uplink_t *self) __attribute__((warn_unused_result));
bool fw_uplink_receive_answers(fw_uplink_t *self) __attribute__((warn_unused_result));

/* uplink_rooms.c */
/* Whether the body of an event frame was a note. */
bool fw_uplink_take_note(fw_uplink_t *self, fw_bytes_t body, int64_t now_us);
void fw_uplink_take_presence(fw_uplink_t *self, const fw_message_t *message, int64_t now_ms);
/* Sends what there is to be reported and asked. */
void fw_uplink_ask_rooms(fw_uplink_t *self, int64_t now_ms);

/* uplink_sessions.c */
void fw_uplink_take_sessions(fw_uplink_t *self, const fw_message_t *message);
