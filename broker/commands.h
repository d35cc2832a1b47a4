/* commands.h - commands about sessions that gateways are doing.   SPDX-License-Identifier: MPL-2.0
 * Pure. A command goes to every gateway shard that was connected when it came, again every
 * FW_COMMAND_AGAIN_US to those that have not answered, and ends when all have or after
 * FW_COMMAND_TIME_US. Gateways do one that comes again without harm and answer as before. Bounded:
 * so many at once, and so many a second; beyond, whoever asks is told to wait. */
#pragma once

#include "proto/message.h"

enum {
    FW_COMMANDS_MAX = 256, /* at once */
    FW_COMMANDS_PER_SECOND = 1000,
    FW_COMMAND_AGAIN_US = 200 * 1000,
    FW_COMMAND_TIME_US = 1000 * 1000,
};

typedef struct fw_commands fw_commands_t;

typedef struct {
    void *context;
    /* To this shard; the bytes are what fw_commands_add was given. */
    void (*send)(void *context, const uint8_t incarnation[FW_INCARNATION_SIZE], fw_bytes_t frame);
    /* The command has ended; asker is what fw_commands_add was given. */
    void (*ended)(void *context, fw_bytes_t asker, const fw_session_result_t *result);
} fw_commands_output_t;

fw_commands_t *fw_commands_new(const fw_commands_output_t *output)
    __attribute__((warn_unused_result));
void fw_commands_destroy(fw_commands_t **self_p);

/* How many are being done. */
size_t fw_commands_count(const fw_commands_t *self);

/* The number that gateways have to answer with, not used before; 0 when there are too many. */
uint64_t fw_commands_number(fw_commands_t *self, int64_t now_us);
/* Begins one with the last number. asked: its id at the asker. The frame, which says the number,
 * goes to all shards at once. Shards are count incarnations, one after the other; asker and frame
 * are copied. */
void fw_commands_add(fw_commands_t *self, fw_bytes_t asker, uint64_t asked, fw_bytes_t frame,
                     const uint8_t *shards, size_t count, int64_t now_us);
/* A shard has done it. An answer that nobody waits for, or a second one, is passed over. */
void fw_commands_done(fw_commands_t *self, const uint8_t incarnation[FW_INCARNATION_SIZE],
                      const fw_session_done_t *done);
/* A shard said goodbye: its sessions are gone, so it has done whatever it was asked. */
void fw_commands_gone(fw_commands_t *self, const uint8_t incarnation[FW_INCARNATION_SIZE]);

void fw_commands_tick(fw_commands_t *self, int64_t now_us);
/* When tick has something to do; INT64_MAX when never. */
int64_t fw_commands_next_us(const fw_commands_t *self);
