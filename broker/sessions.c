/* sessions.c - commands about sessions: from the gateway that was asked to all of them.
 * SPDX-License-Identifier: MPL-2.0 */
#include "broker/sessions.h"

#include <stdlib.h>

#include "broker/commands.h"
#include "broker/rooms.h"
#include "runtime/alloc.h"

struct fw_broker_sessions {
    fw_commands_t *commands;
    struct {
        fw_counter_t *done, *incomplete, *refused;
        fw_gauge_t *waiting;
    } metrics;
};

static void on_send(void *context, const uint8_t incarnation[FW_INCARNATION_SIZE], fw_bytes_t frame)
{
    fw_broker_loop_t *self = context;
    const fw_broker_gateway_t *gateway = fw_broker_gateway_of(self, incarnation);
    /* One that cannot be sent now is sent again. */
    if (gateway && fw_socket_send_to(self->control, &gateway->peer, frame) < 0)
        fw_counter_add(self->metrics.send_dropped, 1);
}

static void answer(fw_broker_loop_t *self, const fw_peer_t *peer, const fw_session_result_t *result)
{
    fw_message_t message = {.kind = FW_MESSAGE_SESSION_RESULT, .session_result = *result};
    fw_broker_reply(self, self->control, FW_LINK_GATEWAY_DOWN, peer, &message);
}

static void on_ended(void *context, fw_bytes_t asker, const fw_session_result_t *result)
{
    fw_broker_loop_t *self = context;
    fw_peer_t peer = {.size = 0};
    memcpy(&peer, asker.data, sizeof peer < asker.size ? sizeof peer : asker.size);
    fw_counter_add(result->answered == result->gateways ? self->sessions->metrics.done
                                                        : self->sessions->metrics.incomplete,
                   1);
    answer(self, &peer, result);
}

void fw_broker_sessions_begin(fw_broker_loop_t *self)
{
    const char *name = "freshwire_broker_session_commands_total";
    const char *help = "Commands about sessions, by outcome: incomplete is one that not every "
                       "gateway answered.";
    fw_broker_sessions_t *sessions = fw_alloc(1, sizeof *sessions);
    fw_commands_output_t output = {self, on_send, on_ended};
    sessions->commands = fw_commands_new(&output);
    sessions->metrics.done = fw_metrics_counter(self->registry, name, help, "outcome=\"done\"");
    sessions->metrics.incomplete =
        fw_metrics_counter(self->registry, name, help, "outcome=\"incomplete\"");
    sessions->metrics.refused =
        fw_metrics_counter(self->registry, name, help, "outcome=\"refused\"");
    sessions->metrics.waiting =
        fw_metrics_gauge(self->registry, "freshwire_broker_session_commands_waiting",
                         "Commands about sessions that wait for answers of gateways.", "");
    self->sessions = sessions;
}

void fw_broker_sessions_end(fw_broker_loop_t *self)
{
    if (!self->sessions)
        return;
    fw_commands_destroy(&self->sessions->commands);
    free(self->sessions);
    self->sessions = NULL;
}

/* Every shard once, also one that came back over another connection. */
static size_t list_shards(fw_broker_loop_t *self, uint8_t *ret_shards)
{
    size_t count = 0;
    for (fw_broker_gateway_t *gateway = self->gateways; gateway; gateway = gateway->hh.next) {
        if (!gateway->takes_commands || fw_broker_gateway_of(self, gateway->incarnation) != gateway)
            continue;
        memcpy(ret_shards + count++ * FW_INCARNATION_SIZE, gateway->incarnation,
               FW_INCARNATION_SIZE);
    }
    return count;
}

static void begin(fw_broker_loop_t *self, const fw_peer_t *peer,
                  const fw_session_command_t *command)
{
    fw_broker_sessions_t *sessions = self->sessions;
    fw_message_t message = {.kind = FW_MESSAGE_SESSION_COMMAND, .session_command = *command};
    uint64_t number = fw_commands_number(sessions->commands, self->now_us);
    if (number == 0) {
        fw_session_result_t refused = {.command_id = command->command_id,
                                       .refused = FW_TEXT("too many commands")};
        fw_counter_add(sessions->metrics.refused, 1);
        answer(self, peer, &refused);
        return;
    }
    size_t gateways = HASH_COUNT(self->gateways);
    uint8_t *shards = fw_alloc(gateways + 1, FW_INCARNATION_SIZE);
    size_t count = list_shards(self, shards);
    message.session_command.command_id = number;
    fw_bytes_t frame = fw_codec_encode(self->encoder, FW_LINK_GATEWAY_DOWN, &message);
    fw_commands_add(sessions->commands, (fw_bytes_t){(const uint8_t *)peer, sizeof *peer},
                    command->command_id, frame, shards, count, self->now_us);
    free(shards);
}

bool fw_broker_sessions_take(fw_broker_loop_t *self, const fw_peer_t *peer,
                             fw_broker_gateway_t *gateway, const fw_message_t *message)
{
    if (message->kind != FW_MESSAGE_SESSION_COMMAND && message->kind != FW_MESSAGE_SESSION_DONE)
        return false;
    if (!gateway) {
        fw_message_t goodbye = {.kind = FW_MESSAGE_GOODBYE, .goodbye = FW_TEXT("say hello first")};
        fw_broker_reply(self, self->control, FW_LINK_GATEWAY_DOWN, peer, &goodbye);
    } else if (message->kind == FW_MESSAGE_SESSION_COMMAND) {
        begin(self, peer, &message->session_command);
    } else {
        fw_commands_done(self->sessions->commands, gateway->incarnation, &message->session_done);
    }
    return true;
}

void fw_broker_sessions_left(fw_broker_loop_t *self, const fw_broker_gateway_t *gateway)
{
    fw_commands_gone(self->sessions->commands, gateway->incarnation);
}

void fw_broker_sessions_tick(fw_broker_loop_t *self)
{
    fw_commands_tick(self->sessions->commands, self->now_us);
    fw_gauge_set(self->sessions->metrics.waiting,
                 (int64_t)fw_commands_count(self->sessions->commands));
}

int64_t fw_broker_sessions_next_us(const fw_broker_loop_t *self)
{
    return fw_commands_next_us(self->sessions->commands);
}
