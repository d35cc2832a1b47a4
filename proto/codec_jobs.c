/* codec_jobs.c - messages of the purge link, read.   SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>

#include "proto/codec_internal.h"

static int job_of(fw_arena_t *arena, const Freshwire__V1__Job *from, fw_job_t *to,
                  fw_refusal_t *ret_refusal)
{
    fw_bytes_t broker = {from->broker.data, from->broker.len};
    if (from->cache_action < FRESHWIRE__V1__CACHE_ACTION__CACHE_ACTION_UNSPECIFIED ||
        from->cache_action > FRESHWIRE__V1__CACHE_ACTION__CACHE_ACTION_FLUSH)
        return fw_codec_refuse("job.cache_action", "is not an action", 0,
                               (uint32_t)from->cache_action, ret_refusal);
    *to = (fw_job_t){from->job_id,
                     from->attempt,
                     from->lease_ms,
                     fw_codec_invalidate_of(arena, from->invalidate),
                     (fw_cache_action_t)from->cache_action,
                     broker};
    if (to->cache_action != FW_CACHE_OPEN && to->cache_action != FW_CACHE_CLOSE)
        return 0;
    if (broker.size == FW_INCARNATION_SIZE)
        return 0;
    return fw_codec_refuse("job.broker", "must be 16 bytes", FW_INCARNATION_SIZE, broker.size,
                           ret_refusal);
}

int fw_codec_job_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                    fw_refusal_t *ret_refusal)
{
    to->kind = FW_MESSAGE_JOB;
    return job_of(arena, message, &to->job, ret_refusal);
}

int fw_codec_jobs_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                     fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__Jobs *from = message;
    fw_job_t *jobs = fw_arena_take(arena, (from->n_jobs + 1) * sizeof *jobs);
    for (size_t i = 0; i < from->n_jobs; i++) {
        int result = job_of(arena, from->jobs[i], &jobs[i], ret_refusal);
        if (result != 0)
            return result;
    }
    to->kind = FW_MESSAGE_JOBS;
    to->jobs = (fw_jobs_t){jobs, from->n_jobs};
    return 0;
}

static const fw_stamp_t *stamps_of(fw_arena_t *arena, Freshwire__V1__Stamp *const *from,
                                   size_t count)
{
    if (count == 0)
        return NULL;
    fw_stamp_t *stamps = fw_arena_take(arena, count * sizeof *stamps);
    for (size_t i = 0; i < count; i++)
        stamps[i] = (fw_stamp_t){fw_text(from[i]->tag), from[i]->stamp};
    return stamps;
}

static fw_job_done_t done_of(fw_arena_t *arena, const Freshwire__V1__JobDone *from)
{
    return (fw_job_done_t){from->job_id, from->redis_time,
                           stamps_of(arena, from->stamps, from->n_stamps), from->n_stamps,
                           from->keys_removed};
}

int fw_codec_decode_purged(fw_codec_t *self, fw_bytes_t data, fw_purged_t *ret_purged,
                           fw_refusal_t *ret_refusal)
{
    void *message;
    int result = fw_codec_unpack_checked(&freshwire__v1__purged__descriptor, self->decoded, data,
                                         &message, ret_refusal);
    if (result < 0)
        return result;
    const Freshwire__V1__Purged *from = message;
    *ret_purged = (fw_purged_t){
        from->redis_time, fw_codec_invalidate_of(self->decoded, from->invalidate),
        stamps_of(self->decoded, from->stamps, from->n_stamps), from->n_stamps, from->took_us};
    return 0;
}

int fw_codec_done_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                     fw_refusal_t *ret_refusal)
{
    (void)ret_refusal;
    to->kind = FW_MESSAGE_JOB_DONE;
    to->done = done_of(arena, message);
    return 0;
}

int fw_codec_jobs_done_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                          fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__JobsDone *from = message;
    fw_job_done_t *jobs = fw_arena_take(arena, (from->n_jobs + 1) * sizeof *jobs);
    (void)ret_refusal;
    for (size_t i = 0; i < from->n_jobs; i++)
        jobs[i] = done_of(arena, from->jobs[i]);
    to->kind = FW_MESSAGE_JOBS_DONE;
    to->jobs_done = (fw_jobs_done_t){jobs, from->n_jobs};
    return 0;
}

int fw_codec_failed_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                       fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__JobFailed *from = message;
    (void)arena, (void)ret_refusal;
    to->kind = FW_MESSAGE_JOB_FAILED;
    to->failed = (fw_job_failed_t){from->job_id, from->retryable != 0, fw_text(from->reason)};
    return 0;
}
