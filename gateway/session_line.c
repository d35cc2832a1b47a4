/* session_line.c - see session_line.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/session_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/json_text.h"
#include "runtime/alloc.h"

static void put(fw_json_t *json, const char *text)
{
    fw_json_raw(json, text, strlen(text));
}

static const char *state_of(const fw_session_t *session)
{
    switch ((fw_session_state_t)session->state) {
    case FW_SESSION_GREETING:
        return "greeting";
    case FW_SESSION_WAITING:
        return "waiting";
    case FW_SESSION_OPEN:
        return "open";
    case FW_SESSION_CLOSING:
        break;
    }
    return "closing";
}

static void put_channels(fw_json_t *json, const fw_session_t *session)
{
    put(json, ",\"channels_count\":");
    fw_json_number(json, session->count);
    put(json, ",\"channels\":[");
    for (uint32_t i = 0; i < session->count && i < FW_SESSION_LINE_CHANNELS_MAX; i++) {
        if (i > 0)
            put(json, ",");
        fw_json_string(json, fw_channel_name(session->subscriptions[i].channel));
    }
    put(json, "]");
}

size_t fw_session_line(const fw_session_t *session, unsigned shard, char *buffer, size_t size)
{
    static const char *const protocols[FW_ENCODINGS] = {[FW_ENCODING_JSON] = "json",
                                                        [FW_ENCODING_PROTOBUF] = "protobuf",
                                                        [FW_ENCODING_SSE] = "sse"};
    fw_json_t json = {.buffer = buffer, .size = size};
    char id[24];
    (void)snprintf(id, sizeof id, "%016" PRIx64, session->id);
    put(&json, id);
    put(&json, " {\"session_id\":\"");
    put(&json, id);
    put(&json, "\",\"user_id\":");
    fw_json_string(&json, fw_session_user(session));
    put(&json, ",\"shard\":");
    fw_json_number(&json, shard);
    put(&json, ",\"state\":\"");
    put(&json, state_of(session));
    put(&json, "\",\"protocol\":\"");
    put(&json, protocols[session->encoding]);
    put(&json, "\"");
    if (session->claims && fw_claims_expires_s(session->claims) > 0) {
        put(&json, ",\"expires_at\":");
        fw_json_number(&json, fw_claims_expires_s(session->claims));
    }
    put_channels(&json, session);
    put(&json, "}\n");
    if (json.needed >= size)
        return 0;
    buffer[json.needed] = '\0';
    return json.needed;
}

/* ------ the smallest ids */

/* A heap with the greatest at its top, which goes when a smaller one comes. */
struct fw_session_choice {
    uint64_t after;
    uint32_t limit;
    uint32_t count;
    const fw_session_t *sessions[];
};

fw_session_choice_t *fw_session_choice_new(uint64_t after, uint32_t limit)
{
    fw_session_choice_t *self = fw_alloc(1, sizeof *self + limit * sizeof *self->sessions);
    self->after = after;
    self->limit = limit;
    return self;
}

void fw_session_choice_destroy(fw_session_choice_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

static void swap(fw_session_choice_t *self, uint32_t a, uint32_t b)
{
    const fw_session_t *kept = self->sessions[a];
    self->sessions[a] = self->sessions[b];
    self->sessions[b] = kept;
}

static void sink(fw_session_choice_t *self, uint32_t at, uint32_t count)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && self->sessions[child + 1]->id > self->sessions[child]->id)
            child++;
        if (self->sessions[at]->id >= self->sessions[child]->id)
            return;
        swap(self, at, child);
        at = child;
    }
}

void fw_session_choice_offer(fw_session_choice_t *self, const fw_session_t *session)
{
    if (session->id <= self->after || self->limit == 0)
        return;
    if (self->count == self->limit) {
        if (session->id >= self->sessions[0]->id)
            return;
        self->sessions[0] = session;
        sink(self, 0, self->count);
        return;
    }
    uint32_t at = self->count++;
    self->sessions[at] = session;
    while (at > 0 && self->sessions[(at - 1) / 2]->id < self->sessions[at]->id) {
        swap(self, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

const fw_session_t *const *fw_session_choice_take(fw_session_choice_t *self, uint32_t *ret_count)
{
    for (uint32_t left = self->count; left > 1; left--) {
        swap(self, 0, left - 1);
        sink(self, 0, left - 1);
    }
    *ret_count = self->count;
    return self->sessions;
}
