/* uplink_rooms.c - who is in rooms, and events of clients: over the links to the broker.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>

#include "gateway/uplink_internal.h"

bool fw_uplink_take_note(fw_uplink_t *self, fw_bytes_t body, int64_t now_us)
{
    fw_note_t note;
    fw_refusal_t refusal;
    if (fw_codec_decode_note(self->codec, body, &note, &refusal) != 0)
        return false;
    /* Notes are nothing that a position would notice the loss of: only the rooms know. */
    if (self->options.rooms &&
        fw_rooms_note(self->options.rooms, &note, self->codec, now_us, &refusal) != 0) {
        fw_counter_add(self->options.metrics->refused[FW_REFUSED_EVENTS], 1);
        fw_uplink_trouble(self, now_us / 1000, "note of the broker is malformed, ignoring it",
                          &refusal);
    }
    return true;
}

void fw_uplink_take_presence(fw_uplink_t *self, const fw_message_t *message, int64_t now_ms)
{
    if (!self->options.rooms)
        return;
    fw_roster_t *roster = fw_rooms_roster(self->options.rooms);
    if (message->kind == FW_MESSAGE_PRESENCE_ACK)
        fw_roster_acknowledged(roster, &message->presence_ack, now_ms);
    else
        fw_roster_answered(roster, &message->presence_reply, now_ms);
}

void fw_uplink_ask_rooms(fw_uplink_t *self, int64_t now_ms)
{
    fw_message_t report = {.kind = FW_MESSAGE_PRESENCE_REPORT};
    fw_message_t question = {.kind = FW_MESSAGE_PRESENCE_REQUEST};
    if (!self->options.rooms || !self->welcomed)
        return;
    fw_roster_t *roster = fw_rooms_roster(self->options.rooms);
    /* What cannot be sent now is sent again when its answer is overdue. */
    if (fw_roster_next_report(roster, now_ms, &report.presence_report))
        (void)fw_uplink_say(self, &report);
    if (fw_roster_next_question(roster, now_ms, self->last_request + 1,
                                &question.presence_request)) {
        self->last_request++;
        (void)fw_uplink_say(self, &question);
    }
}

int fw_uplink_pass(fw_uplink_t *self, const fw_event_t *event)
{
    fw_message_t message = {.kind = FW_MESSAGE_CLIENT_NOTE};
    if (!self->welcomed)
        return -ENOTCONN;
    fw_bytes_t publication = fw_codec_encode_publication(self->note_codec, event);
    message.client_note = (fw_client_note_t){event->audience[0], publication};
    return fw_uplink_say(self, &message);
}
