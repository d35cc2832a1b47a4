/* command.h - what the cache asks of Redis, and what it is told.   SPDX-License-Identifier: MPL-2.0
 * The machines (read.h, purge.h) decide, a transport carries. Commands that are given together are
 * one round trip: they are sent in this order, others may come in between, and each has one reply.
 * All keys of a command are in the same slot of a Redis Cluster, the slot of `route`; commands with
 * different routes may go to different servers at the same time, nothing relies on their order. */
#pragma once

#include "proto/bytes.h"

typedef enum {
    FW_CACHE_COMMAND_READ,    /* MGET, GET for one key; values */
    FW_CACHE_COMMAND_ACQUIRE, /* lua/acquire.lua; integer and one value */
    FW_CACHE_COMMAND_CAPTURE, /* lua/capture.lua; values */
    FW_CACHE_COMMAND_STORE,   /* lua/store.lua; integer */
    FW_CACHE_COMMAND_RELEASE, /* lua/release.lua; integer */
    FW_CACHE_COMMAND_BUMP,    /* lua/bump.lua; values */
    FW_CACHE_COMMAND_UNLINK,  /* UNLINK; integer */
    FW_CACHE_COMMAND_TIME,    /* TIME; two values */
    FW_CACHE_COMMAND_KINDS
} fw_cache_command_kind_t;

enum { FW_CACHE_ARGUMENTS_MAX = 3 };

typedef struct {
    fw_cache_command_kind_t kind;
    bool with_source; /* scripts: the server does not know it, send its text (EVAL) */
    fw_text_t route;  /* the key whose server is asked; empty for TIME alone: any */
    const fw_text_t *keys;
    size_t keys_count;
    fw_bytes_t arguments[FW_CACHE_ARGUMENTS_MAX]; /* of scripts, after the keys */
    size_t arguments_count;
} fw_cache_command_t;

/* An answer, flat: an integer and the integers of an array become `integer` (the last one counts),
 * texts and nils become `values`. */
typedef struct {
    const char *error; /* Redis' words, or why there is no answer; NULL = none */
    int64_t integer;
    const fw_bytes_t *values; /* data NULL = nil */
    size_t values_count;
} fw_cache_reply_t;

/* The script of a command; empty for the others. */
fw_text_t fw_cache_command_script(fw_cache_command_kind_t kind);

enum {
    FW_CACHE_WORDS_BESIDE = 3, /* of a command, beside keys and arguments */
    FW_CACHE_COUNT_SIZE = 12,
};

/* How many words the command has at most, and the words as Redis takes them; returns their number.
 * They borrow from the command, the scripts and count_text. */
size_t fw_cache_command_words(const fw_cache_command_t *command);
size_t fw_cache_command_write(const fw_cache_command_t *command,
                              char count_text[FW_CACHE_COUNT_SIZE], fw_bytes_t *ret_words);
