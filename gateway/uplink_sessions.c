/* uplink_sessions.c - commands about sessions, over the link to the broker.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>

#include "gateway/uplink_internal.h"

/* A command comes again when our answer was lost: it is answered as before, not done again, since
 * a session that came back meanwhile may stay. */
static const fw_session_done_t *find_done(const fw_uplink_t *self, uint64_t command_id)
{
    for (size_t i = 0; i < FW_UPLINK_COMMANDS_KEPT; i++)
        if (self->done[i].command_id == command_id)
            return &self->done[i];
    return NULL;
}

void fw_uplink_take_sessions(fw_uplink_t *self, const fw_message_t *message)
{
    const fw_uplink_commands_t *commands = &self->options.commands;
    if (!commands->obey)
        return;
    if (message->kind == FW_MESSAGE_SESSION_RESULT) {
        commands->ended(commands->context, &message->session_result);
        return;
    }
    const fw_session_command_t *command = &message->session_command;
    fw_message_t answer = {.kind = FW_MESSAGE_SESSION_DONE};
    const fw_session_done_t *known = find_done(self, command->command_id);
    if (known) {
        answer.session_done = *known;
    } else {
        fw_session_done_t *kept = &self->done[self->done_next++ % FW_UPLINK_COMMANDS_KEPT];
        answer.session_done.command_id = command->command_id;
        answer.session_done.sessions = commands->obey(commands->context, command);
        *kept = answer.session_done;
    }
    /* One that cannot be sent now is asked for again. */
    (void)fw_uplink_say(self, &answer);
}

int fw_uplink_command(fw_uplink_t *self, fw_bytes_t frame)
{
    if (!self->control || !self->welcomed)
        return -ENOTCONN;
    return fw_socket_send(self->control, frame);
}
