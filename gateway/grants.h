/* grants.h - what the backend has decided about rooms, and what it has to be asked.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. Each question (user, channel, action) is asked once, whoever waits for it; an answer holds
 * for as long as it says. One that allowed is asked again when its time is over and somebody still
 * uses it, and holds meanwhile. Bounded: when there are too many, the oldest refusals are
 * forgotten; when too many are waiting or allowed, the answer is that it cannot be told. */
#pragma once

#include "gateway/claims.h"
#include "gateway/wheel.h"

typedef enum {
    FW_GRANT_YES,
    FW_GRANT_NO,
    FW_GRANT_UNKNOWN, /* the backend cannot be asked, or gives no answer: as good as no, for now */
    FW_GRANT_LATER,   /* it is being asked */
} fw_grant_t;

enum {
    FW_GRANT_ERROR_MS = 1000, /* after a failure nobody asks for so long */
    FW_GRANT_AGAIN_MS = 5000, /* what was allowed is asked again after a failure */
    FW_GRANT_TTL_MS_MAX = 3600 * 1000,
};

typedef struct {
    size_t entries_max; /* questions that are remembered */
    size_t asking_max;  /* that wait for their answer */
} fw_grants_limits_t;

typedef struct {
    uint64_t number;
    fw_text_t user;
    fw_text_t channel;
    fw_action_t action;
} fw_grant_question_t;

typedef struct {
    void *context;
    /* What it waited for has been answered, or one of it. */
    void (*answered)(void *context, void *waiter);
    /* Is something of the user allowed by this question? */
    bool (*used)(void *context, const fw_grant_question_t *question);
    /* It was allowed, and is not any more. */
    void (*withdrawn)(void *context, const fw_grant_question_t *question);
} fw_grants_output_t;

typedef struct {
    size_t entries;
    size_t asking;
    uint64_t hits; /* answered from what is remembered */
    uint64_t misses;
    uint64_t full; /* could not be asked */
} fw_grants_counts_t;

typedef struct fw_grants fw_grants_t;

fw_grants_t *fw_grants_new(const fw_grants_limits_t *limits, const fw_grants_output_t *output,
                           int64_t now_ms) __attribute__((warn_unused_result));
void fw_grants_destroy(fw_grants_t **self_p);
const fw_grants_counts_t *fw_grants_counts(const fw_grants_t *self);

/* With LATER the waiter (not NULL) is told when there is an answer, once. */
fw_grant_t fw_grants_look(fw_grants_t *self, fw_text_t user, fw_text_t channel, fw_action_t action,
                          void *waiter, int64_t now_ms);
/* It waits for nothing any more. */
void fw_grants_forget(fw_grants_t *self, const void *waiter);

/* The next question to be put; false when there is none. Texts are valid until its answer. */
bool fw_grants_next(fw_grants_t *self, fw_grant_question_t *ret_question)
    __attribute__((warn_unused_result));
/* grant: YES, NO or UNKNOWN. A number that nobody waits for is passed over. */
void fw_grants_answer(fw_grants_t *self, uint64_t number, fw_grant_t grant, int64_t ttl_ms,
                      int64_t now_ms);
/* Forgets what is over, asks again for what is used. */
void fw_grants_tick(fw_grants_t *self, int64_t now_ms);
