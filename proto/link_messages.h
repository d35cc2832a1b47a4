/* link_messages.h - what publishers, workers and the broker tell each other, decoded.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Every text and list is borrowed: from the codec that decoded it, or from the sender. */
#pragma once

#include "proto/event.h"
#include "proto/position.h"

enum {
    FW_PROTOCOL_VERSION = 1,
    FW_INCARNATION_SIZE = 16,
    FW_NAME_SIZE_MAX = 128,
    FW_REASON_SIZE_MAX = 512,
    FW_FRAME_SIZE_MAX = 1024 * 1024,     /* what a bound socket accepts */
    FW_REPLY_SIZE_MAX = 8 * 1024 * 1024, /* what a connecting socket accepts */
    FW_JOBS_MAX = 256,                   /* jobs, or answers, of one message */
};

typedef struct {
    fw_text_t channel;
    fw_position_t position;
} fw_channel_position_t;

typedef struct {
    uint32_t version;
    fw_text_t name;
    fw_bytes_t incarnation;
    uint32_t capacity;
} fw_hello_t;

typedef struct {
    uint32_t version;
    fw_bytes_t incarnation;
    uint32_t credit;
    uint32_t event_bytes_max;
    uint32_t beacon_interval_ms;
} fw_welcome_t;

typedef enum {
    FW_ACK_PURGED = 0, /* the default */
    FW_ACK_ACCEPTED = 1,
    FW_ACK_REPLICATED = 3,
} fw_ack_level_t;

typedef enum {
    FW_PUBLISH_OK = 1,
    FW_PUBLISH_DUPLICATE = 2,
    FW_PUBLISH_RETRY = 3,
    FW_PUBLISH_OVERLOAD = 4,
    FW_PUBLISH_REJECTED = 5,
} fw_publish_status_t;

typedef struct {
    uint64_t request_id;
    fw_ack_level_t level;
    uint64_t sequence;
    fw_bytes_t incarnation;
    fw_event_t event;
} fw_publish_t;

/* Fire and forget: how far a publisher has counted, and from where it can send again. */
typedef struct {
    fw_bytes_t incarnation;
    uint64_t last;
    uint64_t kept;
} fw_fire_mark_t;

/* Fire and forget: what the broker did not get. */
typedef struct {
    fw_bytes_t incarnation;
    uint64_t first;
    uint32_t count;
} fw_fire_missing_t;

typedef struct {
    uint64_t request_id;
    fw_text_t id;
    fw_publish_status_t status;
    const fw_channel_position_t *positions;
    size_t positions_count;
    uint32_t credit;
    uint32_t retry_after_ms;
    bool has_refusal;
    fw_refusal_t refusal;
    bool unconfirmed;
    uint64_t fresh;
} fw_publish_ack_t;

/* What a job does to the cache as a whole; see jobs.proto. */
typedef enum {
    FW_CACHE_NONE = 0,
    FW_CACHE_OPEN = 1,
    FW_CACHE_CLOSE = 2,
    FW_CACHE_FLUSH = 3,
} fw_cache_action_t;

typedef struct {
    uint64_t job_id;
    uint32_t attempt;
    uint32_t lease_ms;
    fw_invalidate_t invalidate;
    fw_cache_action_t cache_action;
    fw_bytes_t broker; /* OPEN, CLOSE: the broker's incarnation */
} fw_job_t;

/* Several at once. */
typedef struct {
    const fw_job_t *jobs;
    size_t count;
} fw_jobs_t;

typedef struct {
    fw_text_t tag;
    uint64_t stamp;
} fw_stamp_t;

typedef struct {
    uint64_t job_id;
    uint64_t redis_time; /* microseconds */
    const fw_stamp_t *stamps;
    size_t stamps_count;
    uint32_t keys_removed;
} fw_job_done_t;

/* What a purge did, for auditors. */
typedef struct {
    uint64_t redis_time; /* microseconds */
    fw_invalidate_t invalidate;
    const fw_stamp_t *stamps;
    size_t stamps_count;
    uint64_t took_us; /* since the broker had the event */
} fw_purged_t;

/* Several at once. */
typedef struct {
    const fw_job_done_t *jobs;
    size_t count;
} fw_jobs_done_t;

typedef struct {
    uint64_t job_id;
    bool retryable;
    fw_text_t reason;
} fw_job_failed_t;
