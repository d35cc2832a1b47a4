/* redis_error.c - what an error of Redis means for a purge.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/redis_error.h"

static const struct {
    const char *word; /* the first of the reply */
    fw_redis_error_t error;
} words[] = {
    {"LOADING", FW_REDIS_LOADING},  {"READONLY", FW_REDIS_READONLY},
    {"OOM", FW_REDIS_OOM},          {"NOSCRIPT", FW_REDIS_NOSCRIPT},
    {"BUSY", FW_REDIS_BUSY},        {"MISCONF", FW_REDIS_BUSY},
    {"NOREPLICAS", FW_REDIS_BUSY},  {"MASTERDOWN", FW_REDIS_BUSY},
    {"CLUSTERDOWN", FW_REDIS_BUSY}, {"TRYAGAIN", FW_REDIS_BUSY},
    {"MOVED", FW_REDIS_MOVED},      {"ASK", FW_REDIS_ASK},
    {"NOAUTH", FW_REDIS_AUTH},      {"WRONGPASS", FW_REDIS_AUTH},
    {"NOPERM", FW_REDIS_NOPERM},    {"WRONGTYPE", FW_REDIS_TYPE},
};

static fw_redis_error_t error_of_word(fw_text_t text)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t size = strlen(words[i].word);
        if (text.size >= size && memcmp(text.text, words[i].word, size) == 0 &&
            (text.size == size || text.text[size] == ' ')) {
            return words[i].error;
        }
    }
    return FW_REDIS_OTHER;
}

fw_redis_error_t fw_redis_error_of(fw_text_t text)
{
    static const char wrapped[] = "ERR Error running script";
    if (strncmp(text.text, wrapped, sizeof(wrapped) - 1) == 0) {
        const char *inner = strstr(text.text, ": -");
        if (inner) {
            size_t skipped = (size_t)(inner - text.text) + 3;
            return error_of_word((fw_text_t){text.text + skipped, text.size - skipped});
        }
    }
    return error_of_word(text);
}

const char *fw_redis_error_name(fw_redis_error_t error)
{
    switch (error) {
    case FW_REDIS_LOST:
        return "lost";
    case FW_REDIS_LOADING:
        return "loading";
    case FW_REDIS_READONLY:
        return "readonly";
    case FW_REDIS_OOM:
        return "oom";
    case FW_REDIS_NOSCRIPT:
        return "noscript";
    case FW_REDIS_BUSY:
        return "busy";
    case FW_REDIS_MOVED:
        return "moved";
    case FW_REDIS_ASK:
        return "ask";
    case FW_REDIS_AUTH:
        return "auth";
    case FW_REDIS_NOPERM:
        return "noperm";
    case FW_REDIS_TYPE:
        return "type";
    case FW_REDIS_PROTOCOL:
        return "protocol";
    case FW_REDIS_OTHER:
    case FW_REDIS_ERRORS_COUNT:
        break;
    }
    return "other";
}

bool fw_redis_error_retryable(fw_redis_error_t error)
{
    return error != FW_REDIS_NOPERM && error != FW_REDIS_TYPE;
}
