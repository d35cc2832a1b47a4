/* batch.c - the commands of one round trip, sent again when the server lost its scripts.
 * SPDX-License-Identifier: MPL-2.0 */
#include "cache/batch.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/alloc.h"

void fw_cache_batch_clear(fw_cache_batch_t *self)
{
    self->count = 0;
    self->sent = 0;
    self->sources = false;
    self->failed = false;
    self->failure[0] = 0;
}

void fw_cache_batch_free(fw_cache_batch_t *self)
{
    free(self->commands);
    *self = (fw_cache_batch_t){0};
}

fw_cache_command_t *fw_cache_batch_add(fw_cache_batch_t *self, fw_cache_command_kind_t kind,
                                       const fw_text_t *keys, size_t keys_count)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 4;
        self->commands = fw_realloc(self->commands, self->capacity, sizeof(self->commands[0]));
    }
    fw_cache_command_t *command = &self->commands[self->count++];
    *command = (fw_cache_command_t){
        .kind = kind,
        .route = keys_count > 0 ? keys[0] : FW_TEXT_NONE,
        .keys = keys,
        .keys_count = keys_count,
    };
    return command;
}

const fw_cache_command_t *fw_cache_batch_pending(const fw_cache_batch_t *self, size_t *ret_count)
{
    *ret_count = self->count - self->sent;
    return self->commands + self->sent;
}

static bool is_lost_script(const fw_cache_reply_t *reply)
{
    return reply->error && strncmp(reply->error, "NOSCRIPT", strlen("NOSCRIPT")) == 0;
}

/* Does the answer have the shape that the command asks for? */
static bool fits(const fw_cache_command_t *command, const fw_cache_reply_t *reply)
{
    switch (command->kind) {
    case FW_CACHE_COMMAND_READ:
    case FW_CACHE_COMMAND_CAPTURE:
    case FW_CACHE_COMMAND_BUMP:
        return reply->values_count == command->keys_count;
    case FW_CACHE_COMMAND_ACQUIRE:
        return reply->values_count == 1;
    case FW_CACHE_COMMAND_TIME:
        return reply->values_count == 2;
    case FW_CACHE_COMMAND_STORE:
    case FW_CACHE_COMMAND_RELEASE:
    case FW_CACHE_COMMAND_UNLINK:
    case FW_CACHE_COMMAND_KINDS:
        break;
    }
    return reply->values_count == 0;
}

bool fw_cache_batch_replies(fw_cache_batch_t *self, const fw_cache_reply_t *replies,
                            fw_cache_batch_fn *fn, void *context)
{
    size_t first = self->sent;
    for (size_t i = first; i < self->count; i++) {
        const fw_cache_reply_t *reply = &replies[i - first];
        if (is_lost_script(reply) && !self->sources) {
            for (size_t again = i; again < self->count; again++) {
                self->commands[again].with_source =
                    fw_cache_command_script(self->commands[again].kind).size > 0;
            }
            self->sources = true;
            self->sent = i;
            return false;
        }
        const char *failure = reply->error;
        if (!failure && !fits(&self->commands[i], reply)) {
            failure = "an answer of another shape";
        }
        if (!failure) {
            fn(context, i, reply);
        } else if (!self->failed) {
            self->failed = true;
            (void)snprintf(self->failure, sizeof(self->failure), "%s", failure);
        }
    }
    self->sent = self->count;
    return true;
}
