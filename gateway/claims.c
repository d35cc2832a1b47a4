/* claims.c - see claims.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/claims.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include <jansson.h>

#include "proto/wildcard.h"
#include "runtime/alloc.h"

enum { ABSENT = UINT16_MAX };

#define DATE_S_MAX 1e15

struct fw_claims {
    int64_t expires_s;
    uint32_t size;               /* of texts */
    uint16_t counts[FW_ACTIONS]; /* patterns of each action, or ABSENT */
    uint8_t user_size;
    uint8_t texts[]; /* the user id and a 0, then every pattern behind its size */
};

_Static_assert(FW_CHANNEL_ID_SIZE_MAX <= UINT8_MAX, "sizes of texts are bytes");
_Static_assert((int)FW_CLAIM_PATTERNS_MAX < (int)ABSENT, "ABSENT is no count");

static bool is_user(fw_text_t user)
{
    char name[FW_CHANNEL_SIZE_MAX + 1];
    size_t size;
    return fw_channel_make(FW_CHANNEL_KIND_USER, user, name, &size) == 0;
}

/* Adds the sizes of one action's patterns; false when they are too many, or one is too long. */
static bool measure(const fw_claim_t *claim, size_t *size)
{
    if (!claim->given)
        return true;
    if (claim->count > FW_CLAIM_PATTERNS_MAX)
        return false;
    for (size_t i = 0; i < claim->count; i++) {
        if (claim->patterns[i].size > FW_CHANNEL_ID_SIZE_MAX)
            return false;
        *size += claim->patterns[i].size + 1;
    }
    return true;
}

static uint8_t *append(uint8_t *end, fw_text_t text)
{
    if (text.size > 0)
        memcpy(end, text.text, text.size);
    return end + text.size;
}

int fw_claims_new(const fw_claims_terms_t *terms, fw_claims_t **ret_claims)
{
    size_t size = terms->user.size + 1;
    if (!is_user(terms->user))
        return -EINVAL;
    for (int action = 0; action < FW_ACTIONS; action++)
        if (!measure(&terms->rooms[action], &size))
            return -EINVAL;
    fw_claims_t *self = fw_alloc(1, sizeof *self + size);
    self->expires_s = terms->expires_s;
    self->size = (uint32_t)size;
    self->user_size = (uint8_t)terms->user.size;
    uint8_t *end = append(self->texts, terms->user) + 1;
    for (int action = 0; action < FW_ACTIONS; action++) {
        const fw_claim_t *claim = &terms->rooms[action];
        self->counts[action] = claim->given ? (uint16_t)claim->count : ABSENT;
        for (size_t i = 0; claim->given && i < claim->count; i++) {
            *end++ = (uint8_t)claim->patterns[i].size;
            end = append(end, claim->patterns[i]);
        }
    }
    assert(end == self->texts + size);
    *ret_claims = self;
    return 0;
}

/* The pattern at a place of texts, which moves behind it. */
static fw_text_t next_pattern(const uint8_t **cursor)
{
    fw_text_t pattern = {(const char *)*cursor + 1, **cursor};
    *cursor += pattern.size + 1;
    return pattern;
}

static const uint8_t *behind_patterns(const uint8_t *cursor, uint16_t count)
{
    for (uint16_t i = 0; count != ABSENT && i < count; i++)
        (void)next_pattern(&cursor);
    return cursor;
}

int fw_claims_with(const fw_claims_t *self, const fw_claim_t rooms[FW_ACTIONS],
                   fw_claims_t **ret_claims)
{
    fw_claims_terms_t terms = {.user = fw_claims_user(self), .expires_s = self->expires_s};
    fw_text_t kept[FW_ACTIONS][FW_CLAIM_PATTERNS_MAX];
    const uint8_t *cursor = self->texts + self->user_size + 1;
    for (int action = 0; action < FW_ACTIONS; action++) {
        uint16_t count = self->counts[action];
        if (rooms[action].given) {
            terms.rooms[action] = rooms[action];
            cursor = behind_patterns(cursor, count);
        } else if (count != ABSENT) {
            for (uint16_t i = 0; i < count; i++)
                kept[action][i] = next_pattern(&cursor);
            terms.rooms[action] = (fw_claim_t){true, kept[action], count};
        }
    }
    return fw_claims_new(&terms, ret_claims);
}

/* A list of patterns; absent is fine. */
static bool parse_patterns(const json_t *list, fw_text_t patterns[FW_CLAIM_PATTERNS_MAX],
                           fw_claim_t *ret_claim)
{
    if (!list)
        return true;
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count > FW_CLAIM_PATTERNS_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_string(item))
            return false;
        patterns[i] = (fw_text_t){json_string_value(item), json_string_length(item)};
    }
    *ret_claim = (fw_claim_t){true, patterns, count};
    return true;
}

/* When it expires, in whole seconds. A token that says so is never one without an end: not even at
 * the second 0. */
static bool parse_expiry(const json_t *value, int64_t *ret_s)
{
    double seconds = json_number_value(value);
    if (!value)
        return true;
    if (!json_is_number(value) || !isfinite(seconds) || seconds < 0 || seconds > DATE_S_MAX)
        return false;
    *ret_s = seconds < 1 ? 1 : (int64_t)seconds;
    return true;
}

int fw_claims_parse(const json_t *json, fw_claims_t **ret_claims)
{
    static const char *const names[FW_ACTIONS] = {"rooms", "publish", "presence"};
    fw_text_t patterns[FW_ACTIONS][FW_CLAIM_PATTERNS_MAX];
    fw_claims_terms_t terms = {.expires_s = 0};
    const json_t *user = json_object_get(json, "sub");
    if (!json_is_string(user) || !parse_expiry(json_object_get(json, "exp"), &terms.expires_s))
        return -EINVAL;
    terms.user = (fw_text_t){json_string_value(user), json_string_length(user)};
    for (int action = 0; action < FW_ACTIONS; action++) {
        const json_t *list = json_object_get(json, names[action]);
        if (!parse_patterns(list, patterns[action], &terms.rooms[action]))
            return -EINVAL;
    }
    return fw_claims_new(&terms, ret_claims);
}

void fw_claims_destroy(fw_claims_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

fw_text_t fw_claims_user(const fw_claims_t *self)
{
    return (fw_text_t){(const char *)self->texts, self->user_size};
}

int64_t fw_claims_expires_s(const fw_claims_t *self)
{
    return self->expires_s;
}

size_t fw_claims_bytes(const fw_claims_t *self)
{
    return sizeof *self + self->size;
}

static bool may_in_room(const fw_claims_t *self, fw_action_t action, fw_text_t room)
{
    const uint8_t *cursor = self->texts + self->user_size + 1;
    for (int before = 0; before < (int)action; before++)
        cursor = behind_patterns(cursor, self->counts[before]);
    if (self->counts[action] == ABSENT)
        return action == FW_ACTION_LISTEN;
    for (uint16_t i = 0; i < self->counts[action]; i++)
        if (fw_wildcard_match(next_pattern(&cursor), room))
            return true;
    return false;
}

bool fw_claims_may(const fw_claims_t *claims, fw_action_t action, fw_text_t channel)
{
    switch (fw_channel_kind(channel)) {
    case FW_CHANNEL_KIND_BROADCAST:
        return action == FW_ACTION_LISTEN;
    case FW_CHANNEL_KIND_USER:
        return action == FW_ACTION_LISTEN && claims &&
               fw_text_equal(fw_claims_user(claims), fw_channel_id(channel));
    case FW_CHANNEL_KIND_ROOM:
        return claims && may_in_room(claims, action, fw_channel_id(channel));
    case FW_CHANNEL_INVALID:
        break;
    }
    return false;
}
