/* command.c - what the cache asks of Redis, and what it is told.   SPDX-License-Identifier: MPL-2.0
 */
#include "cache/command.h"

#include <assert.h>
#include <stdio.h>

#include "cache/scripts.h"

typedef struct {
    const fw_text_t *source;
    const fw_text_t *sha;
} script_t;

static const script_t scripts[FW_CACHE_COMMAND_KINDS] = {
    [FW_CACHE_COMMAND_ACQUIRE] = {&fw_cache_script_acquire, &fw_cache_script_acquire_sha},
    [FW_CACHE_COMMAND_CAPTURE] = {&fw_cache_script_capture, &fw_cache_script_capture_sha},
    [FW_CACHE_COMMAND_STORE] = {&fw_cache_script_store, &fw_cache_script_store_sha},
    [FW_CACHE_COMMAND_RELEASE] = {&fw_cache_script_release, &fw_cache_script_release_sha},
    [FW_CACHE_COMMAND_BUMP] = {&fw_cache_script_bump, &fw_cache_script_bump_sha},
};

fw_text_t fw_cache_command_script(fw_cache_command_kind_t kind)
{
    assert(kind < FW_CACHE_COMMAND_KINDS);
    return scripts[kind].source ? *scripts[kind].source : FW_TEXT_NONE;
}

size_t fw_cache_command_words(const fw_cache_command_t *command)
{
    return FW_CACHE_WORDS_BESIDE + command->keys_count + command->arguments_count;
}

static const char *plain_name(const fw_cache_command_t *command)
{
    switch (command->kind) {
    case FW_CACHE_COMMAND_READ:
        return command->keys_count == 1 ? "GET" : "MGET";
    case FW_CACHE_COMMAND_UNLINK:
        return "UNLINK";
    case FW_CACHE_COMMAND_TIME:
        return "TIME";
    case FW_CACHE_COMMAND_ACQUIRE:
    case FW_CACHE_COMMAND_CAPTURE:
    case FW_CACHE_COMMAND_STORE:
    case FW_CACHE_COMMAND_RELEASE:
    case FW_CACHE_COMMAND_BUMP:
    case FW_CACHE_COMMAND_KINDS:
        break;
    }
    return command->with_source ? "EVAL" : "EVALSHA";
}

size_t fw_cache_command_write(const fw_cache_command_t *command,
                              char count_text[FW_CACHE_COUNT_SIZE], fw_bytes_t *ret_words)
{
    size_t words = 0;
    fw_text_t name = fw_text(plain_name(command));
    ret_words[words++] = (fw_bytes_t){(const uint8_t *)name.text, name.size};
    const script_t *script = &scripts[command->kind];
    if (script->source) {
        fw_text_t text = command->with_source ? *script->source : *script->sha;
        ret_words[words++] = (fw_bytes_t){(const uint8_t *)text.text, text.size};
        int size = snprintf(count_text, FW_CACHE_COUNT_SIZE, "%zu", command->keys_count);
        ret_words[words++] = (fw_bytes_t){(const uint8_t *)count_text, (size_t)size};
    }
    for (size_t i = 0; i < command->keys_count; i++) {
        fw_text_t key = command->keys[i];
        ret_words[words++] = (fw_bytes_t){(const uint8_t *)key.text, key.size};
    }
    for (size_t i = 0; i < command->arguments_count; i++) {
        ret_words[words++] = command->arguments[i];
    }
    return words;
}
