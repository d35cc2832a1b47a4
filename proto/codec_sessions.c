/* codec_sessions.c - commands about live sessions.   SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>

#include "freshwire/v1/sessions.pb-c.h"
#include "proto/codec_internal.h"

/* ------ encoding */

static char *text_in(fw_text_t text)
{
    union {
        const char *in;
        char *out;
    } cast = {.in = text.text ? text.text : ""};
    assert(cast.in[text.size] == '\0');
    return cast.out;
}

static Freshwire__V1__RoomPatterns *patterns_in(fw_arena_t *arena, const fw_room_patterns_t *from)
{
    if (!from->given)
        return NULL;
    Freshwire__V1__RoomPatterns *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__room_patterns__init(to);
    to->n_patterns = from->count;
    to->patterns = fw_arena_take(arena, (from->count + 1) * sizeof *to->patterns);
    for (size_t i = 0; i < from->count; i++)
        to->patterns[i] = text_in(from->patterns[i]);
    return to;
}

static void *command_in(fw_arena_t *arena, const fw_session_command_t *from)
{
    Freshwire__V1__SessionCommand *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__session_command__init(to);
    to->command_id = from->command_id;
    to->action = (Freshwire__V1__SessionAction)from->action;
    to->user_id = text_in(from->user_id);
    to->session_id = text_in(from->session_id);
    to->code = from->code;
    to->reason = text_in(from->reason);
    to->channel = text_in(from->channel);
    to->rooms = patterns_in(arena, &from->claims[0]);
    to->publish = patterns_in(arena, &from->claims[1]);
    to->presence = patterns_in(arena, &from->claims[2]);
    return to;
}

static void *done_in(fw_arena_t *arena, const fw_session_done_t *from)
{
    Freshwire__V1__SessionCommandDone *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__session_command_done__init(to);
    to->command_id = from->command_id;
    to->sessions = from->sessions;
    return to;
}

static void *result_in(fw_arena_t *arena, const fw_session_result_t *from)
{
    Freshwire__V1__SessionCommandResult *to = fw_arena_take(arena, sizeof *to);
    freshwire__v1__session_command_result__init(to);
    to->command_id = from->command_id;
    to->gateways = from->gateways;
    to->answered = from->answered;
    to->sessions = from->sessions;
    to->refused = text_in(from->refused);
    return to;
}

void *fw_codec_sessions_in(fw_arena_t *arena, const fw_message_t *message)
{
    if (message->kind == FW_MESSAGE_SESSION_COMMAND)
        return command_in(arena, &message->session_command);
    if (message->kind == FW_MESSAGE_SESSION_DONE)
        return done_in(arena, &message->session_done);
    assert(message->kind == FW_MESSAGE_SESSION_RESULT);
    return result_in(arena, &message->session_result);
}

/* ------ decoding */

static fw_room_patterns_t patterns_of(fw_arena_t *arena, const Freshwire__V1__RoomPatterns *from)
{
    if (!from)
        return (fw_room_patterns_t){false, NULL, 0};
    fw_text_t *patterns = NULL;
    if (from->n_patterns > 0)
        patterns = fw_arena_take(arena, from->n_patterns * sizeof *patterns);
    for (size_t i = 0; i < from->n_patterns; i++)
        patterns[i] = fw_text(from->patterns[i]);
    return (fw_room_patterns_t){true, patterns, from->n_patterns};
}

int fw_codec_session_command_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                                fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__SessionCommand *from = message;
    to->kind = FW_MESSAGE_SESSION_COMMAND;
    to->session_command = (fw_session_command_t){
        .command_id = from->command_id,
        .action = (fw_session_action_t)from->action,
        .user_id = fw_text(from->user_id),
        .session_id = fw_text(from->session_id),
        .code = from->code,
        .reason = fw_text(from->reason),
        .channel = fw_text(from->channel),
        .claims = {patterns_of(arena, from->rooms), patterns_of(arena, from->publish),
                   patterns_of(arena, from->presence)},
    };
    return fw_session_command_check(&to->session_command, ret_refusal);
}

int fw_codec_session_done_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                             fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__SessionCommandDone *from = message;
    (void)arena, (void)ret_refusal;
    to->kind = FW_MESSAGE_SESSION_DONE;
    to->session_done = (fw_session_done_t){from->command_id, from->sessions};
    return 0;
}

int fw_codec_session_result_of(fw_arena_t *arena, const void *message, fw_message_t *to,
                               fw_refusal_t *ret_refusal)
{
    const Freshwire__V1__SessionCommandResult *from = message;
    (void)arena, (void)ret_refusal;
    to->kind = FW_MESSAGE_SESSION_RESULT;
    to->session_result = (fw_session_result_t){from->command_id, from->gateways, from->answered,
                                               from->sessions, fw_text(from->refused)};
    return 0;
}
