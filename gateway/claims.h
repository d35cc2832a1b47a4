/* claims.h - who somebody is, and what that allows.   SPDX-License-Identifier: MPL-2.0
 * Pure. What a verified token says, or what the application said later in its place. One small
 * block of memory per session, never changed: another one takes its place. */
#pragma once

#include "proto/channel.h"

enum {
    FW_CLAIM_PATTERNS_MAX = 256, /* of one action */
};

/* What a session may ask for in a channel. */
typedef enum {
    FW_ACTION_LISTEN,   /* claim "rooms" */
    FW_ACTION_PUBLISH,  /* claim "publish" */
    FW_ACTION_PRESENCE, /* claim "presence": to be seen, and to see who else is there */
} fw_action_t;

enum { FW_ACTIONS = FW_ACTION_PRESENCE + 1 };

/* Patterns of room ids (proto/wildcard.h). Absent means: listen to any room, but nothing else. */
typedef struct {
    bool given;
    const fw_text_t *patterns;
    size_t count;
} fw_claim_t;

typedef struct {
    fw_text_t user;
    int64_t expires_s; /* wall clock; 0 = never */
    fw_claim_t rooms[FW_ACTIONS];
} fw_claims_terms_t;

typedef struct fw_claims fw_claims_t;
struct json_t;

/* Copies. -EINVAL: the user cannot be one, or there are too many patterns, or one is too long. */
int fw_claims_new(const fw_claims_terms_t *terms, fw_claims_t **ret_claims)
    __attribute__((warn_unused_result));
/* Of a token's JSON object: sub, exp, rooms, publish, presence. -EINVAL: sub is missing, or one of
 * them is not what it must be. */
int fw_claims_parse(const struct json_t *json, fw_claims_t **ret_claims)
    __attribute__((warn_unused_result));
/* The same user, until the same time, with other patterns: those that are given take the place of
 * the old ones. -EINVAL as above. */
int fw_claims_with(const fw_claims_t *self, const fw_claim_t rooms[FW_ACTIONS],
                   fw_claims_t **ret_claims) __attribute__((warn_unused_result));
void fw_claims_destroy(fw_claims_t **self_p);

fw_text_t fw_claims_user(const fw_claims_t *self);    /* with a closing 0 */
int64_t fw_claims_expires_s(const fw_claims_t *self); /* wall clock; 0 = never */
size_t fw_claims_bytes(const fw_claims_t *self);

/* May a session with these claims (NULL = anonymous) do this in a channel? Rooms by their patterns;
 * to the broadcast and to one's own channel one may listen, and nothing else. */
bool fw_claims_may(const fw_claims_t *claims, fw_action_t action, fw_text_t channel);
