/* commands.c - see commands.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/commands.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"
#include "runtime/hash.h"
#include "runtime/random.h"

enum { SECOND_US = 1000 * 1000 };

typedef struct {
    uint8_t incarnation[FW_INCARNATION_SIZE];
    uint32_t sessions;
    bool answered;
} shard_t;

typedef struct command {
    struct command *prev, *next; /* in the order in which they came */
    uint64_t number;
    uint64_t asked;
    int64_t began_us;
    int64_t again_us;
    uint8_t *asker;
    size_t asker_size;
    uint8_t *frame;
    size_t frame_size;
    size_t missing; /* answers */
    size_t count;
    shard_t shards[];
} command_t;

struct fw_commands {
    fw_commands_output_t output;
    command_t *commands;
    size_t count;
    uint64_t number;
    int64_t filled_us;
    int64_t left; /* that may begin now, in millionths */
};

fw_commands_t *fw_commands_new(const fw_commands_output_t *output)
{
    fw_commands_t *self = fw_alloc(1, sizeof *self);
    self->output = *output;
    /* Not the same again after a restart: a late answer must not be taken for another one. */
    fw_random_bytes(&self->number, sizeof self->number);
    return self;
}

static void forget(fw_commands_t *self, command_t *command)
{
    DL_DELETE(self->commands, command);
    self->count--;
    free(command->asker);
    free(command->frame);
    free(command);
}

void fw_commands_destroy(fw_commands_t **self_p)
{
    fw_commands_t *self = *self_p;
    if (!self)
        return;
    while (self->commands)
        forget(self, self->commands);
    free(self);
    *self_p = NULL;
}

size_t fw_commands_count(const fw_commands_t *self)
{
    return self->count;
}

uint64_t fw_commands_number(fw_commands_t *self, int64_t now_us)
{
    int64_t passed_us = now_us - self->filled_us;
    if (passed_us > SECOND_US)
        passed_us = SECOND_US;
    if (passed_us > 0) {
        self->filled_us = now_us;
        self->left += passed_us * FW_COMMANDS_PER_SECOND;
    }
    if (self->left > (int64_t)FW_COMMANDS_PER_SECOND * SECOND_US)
        self->left = (int64_t)FW_COMMANDS_PER_SECOND * SECOND_US;
    if (self->left < SECOND_US || self->count >= FW_COMMANDS_MAX)
        return 0;
    self->left -= SECOND_US;
    if (++self->number == 0)
        self->number = 1;
    return self->number;
}

static uint8_t *copy(fw_bytes_t bytes)
{
    uint8_t *to = fw_alloc(1, bytes.size + 1);
    memcpy(to, bytes.data, bytes.size);
    return to;
}

static void end(fw_commands_t *self, command_t *command)
{
    fw_session_result_t result = {.command_id = command->asked,
                                  .gateways = (uint32_t)command->count,
                                  .refused = FW_TEXT_NONE};
    for (size_t i = 0; i < command->count; i++) {
        result.answered += command->shards[i].answered;
        result.sessions += command->shards[i].sessions;
    }
    self->output.ended(self->output.context, (fw_bytes_t){command->asker, command->asker_size},
                       &result);
    forget(self, command);
}

static void send(const fw_commands_t *self, const command_t *command)
{
    fw_bytes_t frame = {command->frame, command->frame_size};
    for (size_t i = 0; i < command->count; i++)
        if (!command->shards[i].answered)
            self->output.send(self->output.context, command->shards[i].incarnation, frame);
}

void fw_commands_add(fw_commands_t *self, fw_bytes_t asker, uint64_t asked, fw_bytes_t frame,
                     const uint8_t *shards, size_t count, int64_t now_us)
{
    command_t *command = fw_alloc(1, sizeof *command + count * sizeof *command->shards);
    command->number = self->number;
    command->asked = asked;
    command->began_us = now_us;
    command->again_us = now_us + FW_COMMAND_AGAIN_US;
    command->asker = copy(asker);
    command->asker_size = asker.size;
    command->frame = copy(frame);
    command->frame_size = frame.size;
    command->missing = command->count = count;
    for (size_t i = 0; i < count; i++)
        memcpy(command->shards[i].incarnation, shards + i * FW_INCARNATION_SIZE,
               FW_INCARNATION_SIZE);
    DL_APPEND(self->commands, command);
    self->count++;
    send(self, command);
    if (command->missing == 0)
        end(self, command);
}

/* True when it was the last answer. */
static bool take(command_t *command, const uint8_t incarnation[FW_INCARNATION_SIZE],
                 uint32_t sessions)
{
    for (size_t i = 0; i < command->count; i++) {
        shard_t *shard = &command->shards[i];
        if (shard->answered || memcmp(shard->incarnation, incarnation, FW_INCARNATION_SIZE) != 0)
            continue;
        shard->answered = true;
        shard->sessions = sessions;
        return --command->missing == 0;
    }
    return false;
}

void fw_commands_done(fw_commands_t *self, const uint8_t incarnation[FW_INCARNATION_SIZE],
                      const fw_session_done_t *done)
{
    command_t *command;
    DL_FOREACH(self->commands, command)
    {
        if (command->number != done->command_id)
            continue;
        if (take(command, incarnation, done->sessions))
            end(self, command);
        return;
    }
}

void fw_commands_gone(fw_commands_t *self, const uint8_t incarnation[FW_INCARNATION_SIZE])
{
    command_t *command, *next;
    DL_FOREACH_SAFE(self->commands, command, next)
    {
        if (take(command, incarnation, 0))
            end(self, command);
    }
}

void fw_commands_tick(fw_commands_t *self, int64_t now_us)
{
    command_t *command, *next;
    DL_FOREACH_SAFE(self->commands, command, next)
    {
        if (now_us - command->began_us >= FW_COMMAND_TIME_US) {
            end(self, command);
        } else if (now_us >= command->again_us) {
            command->again_us = now_us + FW_COMMAND_AGAIN_US;
            send(self, command);
        }
    }
}

int64_t fw_commands_next_us(const fw_commands_t *self)
{
    int64_t next_us = INT64_MAX;
    const command_t *command;
    DL_FOREACH(self->commands, command)
    {
        int64_t end_us = command->began_us + FW_COMMAND_TIME_US;
        int64_t due_us = command->again_us < end_us ? command->again_us : end_us;
        if (due_us < next_us)
            next_us = due_us;
    }
    return next_us;
}
