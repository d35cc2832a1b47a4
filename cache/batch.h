/* batch.h - the commands of one round trip, sent again when the server lost its scripts.
 * SPDX-License-Identifier: MPL-2.0 Pure; owned by one machine. */
#pragma once

#include "cache/command.h"

typedef struct {
    fw_cache_command_t *commands;
    size_t count, capacity;
    size_t sent;  /* commands before this one have been answered */
    bool sources; /* the scripts' texts have been sent along already */
    bool failed;
    char failure[128]; /* the first error */
} fw_cache_batch_t;

void fw_cache_batch_clear(fw_cache_batch_t *self); /* forgets the commands, keeps the memory */
void fw_cache_batch_free(fw_cache_batch_t *self);

/* Appends a command, to be filled in; the route is that of its first key. The pointer lives until
 * the next one is added. */
fw_cache_command_t *fw_cache_batch_add(fw_cache_batch_t *self, fw_cache_command_kind_t kind,
                                       const fw_text_t *keys, size_t keys_count);

/* What is to be sent now. */
const fw_cache_command_t *fw_cache_batch_pending(const fw_cache_batch_t *self, size_t *ret_count);

typedef void fw_cache_batch_fn(void *context, size_t index, const fw_cache_reply_t *reply);

/* Takes the replies of all pending commands; fn is called for each answer that is no error and has
 * the shape that its command asks for. True when the round trip is over, false when some commands
 * must be sent again, with their scripts.
 *
 * Everything from the first lost script on is sent again, so that the order stays: a time that was
 * read after a purge must not become one that was read before it. What came before is not: a lease
 * that is taken twice would not be granted the second time. */
bool fw_cache_batch_replies(fw_cache_batch_t *self, const fw_cache_reply_t *replies,
                            fw_cache_batch_fn *fn, void *context);
