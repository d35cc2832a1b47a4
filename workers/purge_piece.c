/* purge_piece.c - the part of a job that one server does.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/purge_piece.h"

#include <assert.h>

#include "runtime/alloc.h"

/* Copies those names that belong. Returns how many. */
static size_t choose(const fw_text_t *from, size_t count, fw_purge_belongs_fn *belongs,
                     const void *context, fw_text_t *ret_names)
{
    size_t chosen = 0;
    for (size_t i = 0; i < count; i++) {
        if (!belongs || belongs(context, from[i])) {
            ret_names[chosen++] = from[i];
        }
    }
    return chosen;
}

fw_purge_job_t *fw_purge_piece_new(fw_purge_job_t *whole, fw_purge_belongs_fn *belongs,
                                   const void *context)
{
    assert(whole->status == FW_PURGE_OPEN || whole->pieces > 0);
    size_t texts = whole->keys_count + whole->tags_count;
    size_t stamps_at = sizeof(fw_purge_job_t) + texts * sizeof(fw_text_t);
    size_t size = stamps_at + whole->tags_count * sizeof(fw_stamp_t);
    fw_purge_job_t *self = fw_purge_job_block(size - sizeof(fw_purge_job_t));
    char *block = (void *)self;
    fw_text_t *names = (void *)(block + sizeof(fw_purge_job_t));
    self->job_id = whole->job_id;
    self->received_us = whole->received_us;
    self->keys = names;
    self->keys_count = choose(whole->keys, whole->keys_count, belongs, context, names);
    self->stamp_keys = names + self->keys_count;
    self->tags_count =
        choose(whole->stamp_keys, whole->tags_count, belongs, context, names + self->keys_count);
    self->tag_at = whole->tag_at;
    self->patterns = whole->patterns;
    self->patterns_count = belongs ? 0 : whole->patterns_count;
    self->stamps = (void *)(block + stamps_at);
    self->action = whole->action;
    memcpy(self->broker, whole->broker, sizeof(self->broker));
    self->attempts = whole->attempts;
    self->alone = whole->alone;
    self->whole = whole;
    whole->pieces++;
    return self;
}

/* A tag has another stamp on every server: the smallest holds for all of them. */
static void merge_stamp(fw_purge_job_t *whole, fw_stamp_t stamp)
{
    for (size_t i = 0; i < whole->stamps_count; i++) {
        fw_stamp_t *known = &whole->stamps[i];
        if (known->tag.text == stamp.tag.text) {
            known->stamp = stamp.stamp < known->stamp ? stamp.stamp : known->stamp;
            return;
        }
    }
    assert(whole->stamps_count < whole->tags_count);
    whole->stamps[whole->stamps_count++] = stamp;
}

static bool outweighs(fw_purge_status_t status, fw_purge_status_t other)
{
    /* What may pass outweighs what cannot: else the rest of the job would not be tried again. */
    return (status == FW_PURGE_FAILED && other != FW_PURGE_FAILED) ||
           (status == FW_PURGE_REFUSED && other != FW_PURGE_FAILED && other != FW_PURGE_REFUSED);
}

fw_purge_job_t *fw_purge_piece_merge(fw_purge_job_t **piece_p)
{
    fw_purge_job_t *piece = *piece_p;
    fw_purge_job_t *whole = piece->whole;
    assert(piece->pieces == 0 && whole->pieces > 0);
    assert(piece->status != FW_PURGE_OPEN);
    if (outweighs(piece->status, whole->status)) {
        whole->status = piece->status;
        whole->error = piece->error;
        memcpy(whole->reason, piece->reason, sizeof(whole->reason));
    }
    /* The latest of the servers' clocks: whatever was stored before the purge is older. */
    whole->redis_time =
        piece->redis_time > whole->redis_time ? piece->redis_time : whole->redis_time;
    whole->keys_removed += piece->keys_removed;
    for (size_t i = 0; i < piece->stamps_count; i++) {
        merge_stamp(whole, piece->stamps[i]);
    }
    fw_purge_job_destroy(piece_p);
    whole->pieces--;
    if (whole->pieces > 0) {
        return NULL;
    }
    if (whole->status == FW_PURGE_OPEN) {
        whole->status = FW_PURGE_DONE;
    }
    return whole;
}
