/* purge_piece.h - the part of a job that one server does.   SPDX-License-Identifier: MPL-2.0
 * Pure. A job is cut into pieces, each is decided by itself, and the whole is decided when all are:
 * done when every piece is, not done as soon as one is not. Pieces may be cut again. */
#pragma once

#include "workers/purge_job.h"

typedef bool fw_purge_belongs_fn(const void *context, fw_text_t name);

/* The piece of those keys and stamp keys that belong to it, without patterns; without belongs all
 * of them, and the patterns. It points into the whole, which must not be destroyed before it. */
fw_purge_job_t *fw_purge_piece_new(fw_purge_job_t *whole, fw_purge_belongs_fn *belongs,
                                   const void *context) __attribute__((warn_unused_result));

/* Takes a decided piece and tells its whole. The whole when this was the last piece, which has then
 * been decided, else NULL. */
fw_purge_job_t *fw_purge_piece_merge(fw_purge_job_t **piece_p) __attribute__((warn_unused_result));
