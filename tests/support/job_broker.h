/* job_broker.h - the broker on the job link, for tests.   SPDX-License-Identifier: MPL-2.0
 * One thread. Nothing is answered by itself but Hello and Ping, and only while told to. What fails
 * here ends the test program with a message. */
#pragma once

#include "proto/codec.h"
#include "runtime/socket.h"

typedef struct fw_job_broker fw_job_broker_t;

/* Binds a free port of 127.0.0.1. */
fw_job_broker_t *fw_job_broker_start(void) __attribute__((warn_unused_result));
void fw_job_broker_stop(fw_job_broker_t **self_p); /* NULL-safe */
/* Closes its socket; binds the same port again. Between the two nothing else may be asked of it. */
void fw_job_broker_down(fw_job_broker_t *self);
void fw_job_broker_up(fw_job_broker_t *self);
const char *fw_job_broker_endpoint(const fw_job_broker_t *self);

/* Whether Hello and Ping are answered (they are, at first), and as which process. */
void fw_job_broker_set_silent(fw_job_broker_t *self, bool silent);
void fw_job_broker_set_incarnation(fw_job_broker_t *self, uint8_t number);

/* The last worker that said Hello. */
const fw_peer_t *fw_job_broker_worker(const fw_job_broker_t *self);
uint32_t fw_job_broker_capacity(const fw_job_broker_t *self);
/* How many Hellos, of how many connections, and how many Goodbyes there were. */
unsigned fw_job_broker_hellos(const fw_job_broker_t *self);
unsigned fw_job_broker_goodbyes(const fw_job_broker_t *self);

/* Serves the worker until it has said Hello, or Goodbye, once more; false when it did not in time.
 * Answers that come meanwhile are lost. */
bool fw_job_broker_wait_hello(fw_job_broker_t *self, int64_t timeout_ms);
bool fw_job_broker_wait_goodbye(fw_job_broker_t *self, int64_t timeout_ms);

/* Sends a job to the last worker. */
void fw_job_broker_send_job(fw_job_broker_t *self, uint64_t job_id,
                            const fw_invalidate_t *invalidate);
/* Sends several in one message, at most FW_JOBS_MAX; their ids count up from the first. */
void fw_job_broker_send_jobs(fw_job_broker_t *self, uint64_t first_id,
                             const fw_invalidate_t *invalidates, size_t count);
void fw_job_broker_send_message(fw_job_broker_t *self, const fw_message_t *message);
/* Sends bytes as they are, and a message of two frames. */
void fw_job_broker_send_bytes(fw_job_broker_t *self, const void *bytes, size_t size);
void fw_job_broker_send_two_frames(fw_job_broker_t *self);

/* What came of a job. */
typedef struct {
    bool came; /* in time */
    bool done;
    uint64_t job_id;
    uint64_t redis_time;
    uint32_t keys_removed;
    size_t stamps_count;
    uint64_t stamps[FW_INVALIDATE_TAGS_MAX];
    bool retryable; /* when it is not done */
    char reason[FW_REASON_SIZE_MAX + 1];
} fw_job_answer_t;

/* The next answer of any job. */
fw_job_answer_t fw_job_broker_wait_answer(fw_job_broker_t *self, int64_t timeout_ms);
/* How many jobs were done by the next answers that come; ends the program when one of them was not.
 * For benchmarks: nothing of them is kept. 0 = nothing came in time. */
size_t fw_job_broker_wait_done(fw_job_broker_t *self, int64_t timeout_ms);
/* Serves the worker for a while; true when an answer came, which is then lost. */
bool fw_job_broker_serve(fw_job_broker_t *self, int64_t duration_ms);
