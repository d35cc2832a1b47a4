/* dispatch.h - which worker gets which purge job, and when again.   SPDX-License-Identifier:
 * MPL-2.0 Pure. A job is leased to the worker with the fewest outstanding jobs that has credit.
 * After first_us without an answer another worker gets it too; after lease_us the lease has ended
 * and anybody may get it; a failed job waits with a growing delay. A job ends only when a worker
 * has done it, or when it can never succeed; or when too many have lost their owners: then all of
 * those are given up, and one job flushes the cache instead. */
#pragma once

#include "proto/codec.h"
#include "runtime/random.h"
#include "runtime/socket.h"

typedef struct fw_dispatch fw_dispatch_t;
typedef struct fw_dispatch_job fw_dispatch_job_t;

typedef struct {
    int64_t first_us;      /* then also to another worker */
    int64_t lease_us;      /* then to any worker */
    int64_t retry_base_us; /* after a failure; doubles */
    int64_t retry_us_max;
    int64_t silence_us_max;   /* a worker that says nothing for so long is gone */
    uint64_t seed;            /* for the jitter of retries */
    size_t orphans_max;       /* jobs without an owner; beyond, the cache is flushed instead */
    size_t orphans_bytes_max; /* the same in bytes */
    uint8_t incarnation[FW_INCARNATION_SIZE]; /* the broker's, for OPEN and CLOSE */
} fw_dispatch_options_t;

typedef enum {
    FW_JOB_DONE,
    FW_JOB_IMPOSSIBLE, /* a worker said that it can never succeed */
} fw_job_outcome_t;

typedef struct {
    void *context;
    /* Sends a job. 0; a negative errno when the worker cannot take it now (it is then treated as
     * gone). */
    int (*send)(void *context, const fw_peer_t *worker, const fw_job_t *job);
    /* A job has ended; owner is what fw_dispatch_add was given, NULL when it was disowned. */
    void (*ended)(void *context, void *owner, fw_job_outcome_t outcome, uint64_t redis_time);
} fw_dispatch_output_t;

fw_dispatch_t *fw_dispatch_new(const fw_dispatch_options_t *options,
                               const fw_dispatch_output_t *output)
    __attribute__((warn_unused_result));
void fw_dispatch_destroy(fw_dispatch_t **self_p);

/* Adds a job (the texts are copied) and sends it if a worker has credit. The job is the
 * dispatcher's; it ends it. */
fw_dispatch_job_t *fw_dispatch_add(fw_dispatch_t *self, const fw_invalidate_t *invalidate,
                                   void *owner, int64_t now_us);
/* The same for a job that does something to the cache as a whole. */
fw_dispatch_job_t *fw_dispatch_add_action(fw_dispatch_t *self, fw_cache_action_t action,
                                          void *owner, int64_t now_us);
/* The owner has gone on without the job (time-out); the job is still retried until done. */
void fw_dispatch_disown(fw_dispatch_t *self, fw_dispatch_job_t *job);

/* A worker said hello, with how many jobs it can hold. Known ones are updated. */
void fw_dispatch_worker(fw_dispatch_t *self, const fw_peer_t *peer, uint32_t capacity,
                        int64_t now_us);
/* False when the worker is not known: it must say hello again. */
bool fw_dispatch_seen(fw_dispatch_t *self, const fw_peer_t *peer, int64_t now_us);
void fw_dispatch_gone(fw_dispatch_t *self, const fw_peer_t *peer, int64_t now_us);

/* What a job that was sent purges, and when it was added; NULL when there is none, or it does
 * something else. */
const fw_invalidate_t *fw_dispatch_purges(const fw_dispatch_t *self, uint64_t job_id,
                                          int64_t *ret_added_us);
/* Answers. False when nobody waits for that answer (late, repeated or foreign): ignored. A late
 * "done" of a worker whose lease ended counts as done. */
bool fw_dispatch_done(fw_dispatch_t *self, const fw_peer_t *peer, uint64_t job_id,
                      uint64_t redis_time, int64_t now_us);
bool fw_dispatch_failed(fw_dispatch_t *self, const fw_peer_t *peer, uint64_t job_id, bool retryable,
                        int64_t now_us);
/* Does what is due: second workers, ended leases, retries, silent workers. */
void fw_dispatch_tick(fw_dispatch_t *self, int64_t now_us);
/* When tick has something to do at the latest. */
int64_t fw_dispatch_next_us(const fw_dispatch_t *self);

size_t fw_dispatch_jobs(const fw_dispatch_t *self);    /* not ended */
size_t fw_dispatch_queued(const fw_dispatch_t *self);  /* waiting for a worker with credit */
size_t fw_dispatch_workers(const fw_dispatch_t *self); /* known */
/* Purges whose events are out are not done, each by itself or by a flush. */
bool fw_dispatch_owes(const fw_dispatch_t *self);
uint64_t fw_dispatch_given_up(const fw_dispatch_t *self); /* jobs replaced by a flush, so far */
uint64_t fw_dispatch_flushes(const fw_dispatch_t *self);  /* jobs FLUSH, so far */
