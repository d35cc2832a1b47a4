/* shard_sessions.c - see shard_sessions.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/shard_sessions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/desk.h"
#include "gateway/session_line.h"
#include "gateway/shard_auth.h"
#include "gateway/users.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/socket.h"

enum { FRAMES_PER_TURN = 16 };

struct fw_shard_sessions {
    fw_users_t *users;
    zsock_t *desk; /* NULL = there is none */
    fw_wakeup_t *wakeup;
    fw_counter_t *commands[FW_SESSIONS_REFRESH + 1];
    fw_counter_t *concerned;
    fw_counter_t *untold;
};

static void make_metrics(fw_shard_sessions_t *sessions, fw_metrics_t *m)
{
    static const char *const labels[FW_SESSIONS_REFRESH + 1] = {
        [FW_SESSIONS_DISCONNECT] = "action=\"disconnect\"",
        [FW_SESSIONS_UNSUBSCRIBE] = "action=\"unsubscribe\"",
        [FW_SESSIONS_REFRESH] = "action=\"refresh\"",
    };
    for (size_t i = FW_SESSIONS_DISCONNECT; i <= FW_SESSIONS_REFRESH; i++)
        sessions->commands[i] =
            fw_metrics_counter(m, "freshwire_gateway_session_commands_total",
                               "Commands about sessions that shards have done.", labels[i]);
    sessions->concerned = fw_metrics_counter(m, "freshwire_gateway_session_commands_sessions_total",
                                             "Sessions that were concerned by commands.", "");
    sessions->untold = fw_metrics_counter(m, "freshwire_gateway_session_answers_lost_total",
                                          "Answers of shards that could not be sent.", "");
}

/* ------ commands */

static uint32_t disconnect(fw_shard_t *self, const fw_session_command_t *command)
{
    uint32_t count = 0;
    fw_session_t *next;
    for (fw_session_t *session = fw_users_first(self->sessions_api->users, command->user_id);
         session; session = next) {
        char id[24];
        next = fw_users_next(session);
        (void)snprintf(id, sizeof id, "%016" PRIx64, session->id);
        if (command->session_id.size > 0 && !fw_text_equal(command->session_id, fw_text(id)))
            continue;
        fw_connection_t *connection = session->connection;
        fw_request_t *request = fw_request_of(connection);
        free(request->reason);
        request->reason = fw_copy_text(command->reason.text, command->reason.size);
        fw_shard_close(self, connection,
                       (fw_close_t){(fw_close_code_t)command->code, request->reason});
        count++;
    }
    return count;
}

static uint32_t unsubscribe(fw_shard_t *self, const fw_session_command_t *command)
{
    uint32_t count = 0;
    int64_t now_ms = fw_clock_ms();
    for (fw_session_t *session = fw_users_first(self->sessions_api->users, command->user_id);
         session; session = fw_users_next(session)) {
        if (fw_hub_leave(self->hub, session, command->channel, now_ms) != 0)
            continue;
        fw_session_say_unsubscribed(session, FW_TEXT_NONE, command->channel, "server");
        fw_hub_mark(self->hub, session);
        /* The welcome may have waited for this one only. */
        if (session->state == FW_SESSION_WAITING)
            fw_hub_await(self->hub, session);
        count++;
    }
    return count;
}

static uint32_t refresh(fw_shard_t *self, const fw_session_command_t *command)
{
    uint32_t count = 0;
    fw_claim_t rooms[FW_ACTIONS];
    _Static_assert((int)FW_ACTIONS == (int)FW_ROOM_CLAIMS, "a list for each claim");
    for (size_t i = 0; i < FW_ACTIONS; i++)
        rooms[i] = (fw_claim_t){command->claims[i].given, command->claims[i].patterns,
                                command->claims[i].count};
    for (fw_session_t *session = fw_users_first(self->sessions_api->users, command->user_id);
         session; session = fw_users_next(session)) {
        fw_claims_t *claims = NULL;
        if (!session->claims || fw_claims_with(session->claims, rooms, &claims) != 0)
            continue;
        fw_shard_set_claims(self, session, &claims);
        count++;
    }
    return count;
}

static uint32_t obey(void *context, const fw_session_command_t *command)
{
    fw_shard_t *self = context;
    uint32_t count = 0;
    switch (command->action) {
    case FW_SESSIONS_DISCONNECT:
        count = disconnect(self, command);
        break;
    case FW_SESSIONS_UNSUBSCRIBE:
        count = unsubscribe(self, command);
        break;
    case FW_SESSIONS_REFRESH:
        count = refresh(self, command);
        break;
    }
    fw_counter_add(self->sessions_api->commands[command->action], 1);
    fw_counter_add(self->sessions_api->concerned, count);
    return count;
}

/* ------ the desk */

static fw_desk_frame_t frame_of(const fw_shard_t *self, fw_desk_kind_t kind, uint64_t request)
{
    fw_desk_frame_t frame;
    memset(&frame, 0, sizeof frame); /* the gaps, too */
    frame.kind = kind;
    frame.shard = self->args->number;
    frame.request = request;
    return frame;
}

/* What does not go out the desk answers by itself, late. */
static void tell(fw_shard_t *self, fw_bytes_t frame)
{
    if (fw_socket_send(self->sessions_api->desk, frame) != 0)
        fw_counter_add(self->sessions_api->untold, 1);
}

static void tell_result(fw_shard_t *self, const fw_session_result_t *result)
{
    fw_desk_frame_t frame = frame_of(self, FW_DESK_RESULT, result->command_id);
    size_t size = result->refused.size;
    frame.gateways = result->gateways;
    frame.answered = result->answered;
    frame.sessions = result->sessions;
    frame.text_size = (uint32_t)(size < FW_DESK_REFUSED_SIZE ? size : FW_DESK_REFUSED_SIZE - 1);
    if (frame.text_size > 0)
        memcpy(frame.text, result->refused.text, frame.text_size);
    tell(self, (fw_bytes_t){(const uint8_t *)&frame, sizeof frame});
}

static void ended(void *context, const fw_session_result_t *result)
{
    fw_shard_t *self = context;
    if (self->sessions_api->desk)
        tell_result(self, result);
}

static void list(fw_shard_t *self, const fw_desk_frame_t *asked)
{
    fw_session_choice_t *choice = fw_session_choice_new(asked->after, asked->limit);
    fw_text_t user = {asked->text, asked->text_size};
    uint32_t count;
    if (user.size > 0) {
        for (const fw_session_t *session = fw_users_first(self->sessions_api->users, user); session;
             session = fw_users_next(session))
            fw_session_choice_offer(choice, session);
    } else {
        for (uint32_t i = 0; i < self->sessions; i++)
            fw_session_choice_offer(choice, self->all[i]);
    }
    const fw_session_t *const *chosen = fw_session_choice_take(choice, &count);
    fw_desk_frame_t frame = frame_of(self, FW_DESK_LISTED, asked->request);
    char *bytes = fw_alloc(1, sizeof frame + count * (size_t)FW_DESK_LINE_SIZE_MAX + 1);
    size_t size = sizeof frame;
    memcpy(bytes, &frame, sizeof frame);
    for (uint32_t i = 0; i < count; i++)
        size += fw_session_line(chosen[i], self->args->number, bytes + size, FW_DESK_LINE_SIZE_MAX);
    tell(self, (fw_bytes_t){(const uint8_t *)bytes, size});
    free(bytes);
    fw_session_choice_destroy(&choice);
}

static void pass_on(fw_shard_t *self, const fw_desk_frame_t *asked, fw_bytes_t command)
{
    if (fw_uplink_command(self->uplink, command) == 0)
        return;
    fw_session_result_t failed = {.command_id = asked->request,
                                  .refused = FW_TEXT("the broker cannot be reached")};
    tell_result(self, &failed);
}

bool fw_shard_sessions_turn(fw_shard_t *self)
{
    zsock_t *desk = self->sessions_api->desk;
    zmq_msg_t message;
    int left = FRAMES_PER_TURN;
    if (!desk)
        return false;
    (void)zmq_msg_init(&message);
    for (; left > 0 && fw_socket_receive(desk, &message) == 0; left--) {
        fw_desk_frame_t frame;
        fw_bytes_t bytes = fw_socket_bytes(&message);
        assert(bytes.size >= sizeof frame); /* of the desk */
        memcpy(&frame, bytes.data, sizeof frame);
        if (frame.kind == FW_DESK_LIST)
            list(self, &frame);
        else
            pass_on(self, &frame,
                    (fw_bytes_t){bytes.data + sizeof frame, bytes.size - sizeof frame});
    }
    (void)zmq_msg_close(&message);
    return left < FRAMES_PER_TURN;
}

/* ------ life */

int fw_shard_sessions_begin(fw_shard_t *self)
{
    fw_shard_sessions_t *sessions = fw_alloc(1, sizeof *sessions);
    self->sessions_api = sessions;
    sessions->users = fw_users_new(fw_random_next(&self->random));
    make_metrics(sessions, self->args->metrics);
    if (!*self->args->desk_endpoint)
        return 0;
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_DEALER_CONNECT);
    int result = fw_socket_open(&settings, self->args->desk_endpoint, &sessions->desk);
    if (result == 0)
        result = fw_wakeup_new(&self->loop, sessions->desk, &sessions->wakeup);
    if (result == 0) {
        fw_desk_frame_t hello = frame_of(self, FW_DESK_HELLO, 0);
        tell(self, (fw_bytes_t){(const uint8_t *)&hello, sizeof hello});
    }
    return result;
}

void fw_shard_sessions_close(fw_shard_t *self)
{
    if (!self->sessions_api)
        return;
    fw_wakeup_destroy(&self->sessions_api->wakeup);
    zsock_destroy(&self->sessions_api->desk);
}

void fw_shard_sessions_end(fw_shard_t *self)
{
    if (!self->sessions_api)
        return;
    fw_users_destroy(&self->sessions_api->users);
    free(self->sessions_api);
    self->sessions_api = NULL;
}

fw_uplink_commands_t fw_shard_sessions_commands(fw_shard_t *self)
{
    return (fw_uplink_commands_t){self, obey, ended};
}

void fw_shard_sessions_known(fw_shard_t *self, fw_session_t *session)
{
    if (session->state != FW_SESSION_CLOSING)
        fw_users_add(self->sessions_api->users, session);
}

fw_session_t *fw_shard_sessions_of(const fw_shard_t *self, fw_text_t user)
{
    return fw_users_first(self->sessions_api->users, user);
}

void fw_shard_sessions_part(fw_shard_t *self, fw_session_t *session)
{
    fw_users_remove(self->sessions_api->users, session);
}
