/* message.h - any message of any link, decoded.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "proto/gateway_messages.h"
#include "proto/link_messages.h"
#include "proto/presence_messages.h"
#include "proto/session_messages.h"

typedef enum {
    FW_MESSAGE_HELLO = 1,
    FW_MESSAGE_WELCOME,
    FW_MESSAGE_PING,
    FW_MESSAGE_PONG,
    FW_MESSAGE_GOODBYE,
    FW_MESSAGE_REFUSAL,
    FW_MESSAGE_PUBLISH,
    FW_MESSAGE_PUBLISH_ACK,
    FW_MESSAGE_JOB,
    FW_MESSAGE_JOB_DONE,
    FW_MESSAGE_JOB_FAILED,
    FW_MESSAGE_POSITIONS_REQUEST,
    FW_MESSAGE_POSITIONS_REPLY,
    FW_MESSAGE_REPLAY_REQUEST,
    FW_MESSAGE_REPLAY_REPLY,
    FW_MESSAGE_FIRE_MARK,
    FW_MESSAGE_FIRE_MISSING,
    FW_MESSAGE_PRESENCE_REPORT,
    FW_MESSAGE_PRESENCE_ACK,
    FW_MESSAGE_PRESENCE_REQUEST,
    FW_MESSAGE_PRESENCE_REPLY,
    FW_MESSAGE_CLIENT_NOTE,
    FW_MESSAGE_JOBS,
    FW_MESSAGE_JOBS_DONE,
    FW_MESSAGE_SESSION_COMMAND,
    FW_MESSAGE_SESSION_DONE,
    FW_MESSAGE_SESSION_RESULT,
} fw_message_kind_t;

/* One message of any link, as a tagged union. */
typedef struct {
    fw_message_kind_t kind;
    union {
        fw_hello_t hello;
        fw_welcome_t welcome;
        uint64_t number;   /* PING, PONG */
        fw_text_t goodbye; /* the reason */
        fw_refusal_t refusal;
        fw_publish_t publish;
        fw_publish_ack_t ack;
        fw_job_t job;
        fw_job_done_t done;
        fw_jobs_t jobs;
        fw_jobs_done_t jobs_done;
        fw_job_failed_t failed;
        fw_positions_request_t positions_request;
        fw_positions_reply_t positions_reply;
        fw_replay_request_t replay_request;
        fw_replay_reply_t replay_reply;
        fw_fire_mark_t fire_mark;
        fw_fire_missing_t fire_missing;
        fw_presence_report_t presence_report;
        fw_presence_ack_t presence_ack;
        fw_presence_request_t presence_request;
        fw_presence_reply_t presence_reply;
        fw_client_note_t client_note;
        fw_session_command_t session_command;
        fw_session_done_t session_done;
        fw_session_result_t session_result;
    };
} fw_message_t;

/* The six envelopes: which messages may appear depends on the link and the direction. */
typedef enum {
    FW_LINK_PUBLISHER_UP,
    FW_LINK_PUBLISHER_DOWN,
    FW_LINK_WORKER_UP,
    FW_LINK_WORKER_DOWN,
    FW_LINK_GATEWAY_UP,
    FW_LINK_GATEWAY_DOWN,
} fw_link_t;
