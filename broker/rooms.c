/* rooms.c - who is in which room, and events of clients that nobody keeps: between gateways.
 * SPDX-License-Identifier: MPL-2.0 */
#include "broker/rooms.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/presence.h"
#include "proto/channel.h"
#include "runtime/alloc.h"
#include "runtime/random.h"

enum {
    NOTES_PER_SECOND = 20000, /* of one gateway shard; beyond: dropped and counted */
    NOTES_BURST = 20000,
    SECOND_US = 1000 * 1000,
};

struct fw_broker_rooms {
    fw_presence_t *presence;
    fw_presence_counts_t reported;
    struct {
        fw_counter_t *reports, *steps, *refused, *notes, *notes_dropped, *notes_refused;
        fw_gauge_t *rooms, *members, *bytes;
    } metrics;
};

static void on_note(void *context, const fw_note_t *note)
{
    fw_broker_loop_t *self = context;
    fw_broker_send_event(self, fw_codec_encode_note_frame(self->encoder, note));
}

static void on_again(void *context, const uint8_t incarnation[FW_INCARNATION_SIZE])
{
    fw_broker_loop_t *self = context;
    fw_message_t message = {.kind = FW_MESSAGE_PRESENCE_ACK, .presence_ack = {.again = true}};
    fw_broker_gateway_t *gateway = fw_broker_gateway_of(self, incarnation);
    if (gateway)
        fw_broker_reply(self, self->control, FW_LINK_GATEWAY_DOWN, &gateway->peer, &message);
}

void fw_broker_rooms_begin(fw_broker_loop_t *self)
{
    fw_metrics_t *m = self->registry;
    const char *notes = "Events of clients that nobody keeps, by outcome.";
    fw_broker_rooms_t *rooms = fw_alloc(1, sizeof *rooms);
    fw_presence_limits_t limits = {.grace_us = self->config.presence_grace_ms * 1000,
                                   .members_max = self->config.presence_members_max,
                                   .bytes_max = self->config.presence_bytes_max};
    fw_presence_output_t output = {self, on_note, on_again};
    uint64_t epoch;
    fw_random_bytes(&epoch, sizeof epoch);
    rooms->presence = fw_presence_new(&limits, epoch | 1, &output, self->now_us);
    rooms->metrics.reports = fw_metrics_counter(m, "freshwire_broker_presence_reports_total",
                                                "Reports of gateways about who is in rooms.", "");
    rooms->metrics.steps = fw_metrics_counter(m, "freshwire_broker_presence_steps_total",
                                              "Batches of joins and leaves sent to gateways.", "");
    rooms->metrics.refused =
        fw_metrics_counter(m, "freshwire_broker_presence_refused_total",
                           "Users in rooms that were not recorded for want of memory.", "");
    rooms->metrics.notes =
        fw_metrics_counter(m, "freshwire_broker_notes_total", notes, "outcome=\"sent\"");
    rooms->metrics.notes_dropped =
        fw_metrics_counter(m, "freshwire_broker_notes_total", notes, "outcome=\"dropped\"");
    rooms->metrics.notes_refused =
        fw_metrics_counter(m, "freshwire_broker_notes_total", notes, "outcome=\"refused\"");
    rooms->metrics.rooms = fw_metrics_gauge(m, "freshwire_broker_presence_rooms",
                                            "Rooms that somebody is known to be in.", "");
    rooms->metrics.members = fw_metrics_gauge(m, "freshwire_broker_presence_members",
                                              "Users known to be in rooms, once per room.", "");
    rooms->metrics.bytes = fw_metrics_gauge(m, "freshwire_broker_presence_bytes",
                                            "Memory of who is in which room.", "");
    self->rooms = rooms;
}

void fw_broker_rooms_end(fw_broker_loop_t *self)
{
    if (!self->rooms)
        return;
    fw_presence_destroy(&self->rooms->presence);
    free(self->rooms);
    self->rooms = NULL;
}

static void acknowledge(fw_broker_loop_t *self, const fw_broker_gateway_t *gateway,
                        fw_presence_ack_t ack)
{
    fw_message_t message = {.kind = FW_MESSAGE_PRESENCE_ACK, .presence_ack = ack};
    fw_broker_reply(self, self->control, FW_LINK_GATEWAY_DOWN, &gateway->peer, &message);
}

void fw_broker_rooms_heard(fw_broker_loop_t *self, const fw_broker_gateway_t *gateway, bool ping)
{
    bool known = fw_presence_heard(self->rooms->presence, gateway->incarnation, self->now_us);
    /* Once a second is often enough to be told. */
    if (!known && ping)
        acknowledge(self, gateway, (fw_presence_ack_t){.again = true});
}

void fw_broker_rooms_left(fw_broker_loop_t *self, const fw_broker_gateway_t *gateway)
{
    fw_presence_gone(self->rooms->presence, gateway->incarnation, self->now_us);
}

static void answer(fw_broker_loop_t *self, const fw_peer_t *peer,
                   const fw_presence_request_t *request)
{
    for (size_t i = 0; i < request->rooms_count; i++) {
        fw_message_t message = {.kind = FW_MESSAGE_PRESENCE_REPLY};
        if (fw_channel_kind(request->rooms[i].channel) != FW_CHANNEL_KIND_ROOM)
            continue;
        fw_presence_ask(self->rooms->presence, &request->rooms[i], self->now_us,
                        &message.presence_reply);
        message.presence_reply.request_id = request->request_id;
        fw_broker_reply(self, self->control, FW_LINK_GATEWAY_DOWN, peer, &message);
    }
}

static bool may_pass(fw_broker_loop_t *self, fw_broker_gateway_t *gateway)
{
    int64_t refill = (self->now_us - gateway->notes_filled_us) * NOTES_PER_SECOND / SECOND_US;
    if (refill > 0) {
        gateway->notes_filled_us = self->now_us;
        gateway->notes_left += refill;
        if (gateway->notes_left > NOTES_BURST)
            gateway->notes_left = NOTES_BURST;
    }
    if (gateway->notes_left <= 0)
        return false;
    gateway->notes_left--;
    return true;
}

/* A gateway may do what its sessions may: publish into rooms, under the rules of events. */
static int check(fw_broker_loop_t *self, const fw_client_note_t *note, fw_refusal_t *ret_refusal)
{
    fw_publication_t publication;
    int result =
        fw_codec_decode_publication(self->decoder, note->publication, &publication, ret_refusal);
    if (result != 0)
        return result;
    fw_event_t event = {
        .type = publication.type,
        .data = publication.data,
        .audience = &note->channel,
        .audience_count = 1,
        .origin = publication.origin,
        .user_id = publication.user_id,
        .ts = publication.ts,
    };
    if (fw_channel_kind(note->channel) == FW_CHANNEL_KIND_ROOM && publication.user_id.size > 0)
        return fw_event_check(&event, ret_refusal);
    *ret_refusal = (fw_refusal_t){.field = "note", .reason = "is not of a user into a room"};
    return -EPROTO;
}

static void pass_on(fw_broker_loop_t *self, fw_broker_gateway_t *gateway,
                    const fw_client_note_t *said)
{
    fw_refusal_t refusal;
    fw_note_t note = {.channel = said->channel, .publication = said->publication};
    if (!may_pass(self, gateway)) {
        fw_counter_add(self->rooms->metrics.notes_dropped, 1);
    } else if (check(self, said, &refusal) != 0) {
        fw_counter_add(self->rooms->metrics.notes_refused, 1);
        fw_broker_refused(self, FW_DOOR_CONTROL, "rule", &refusal);
    } else {
        fw_counter_add(self->rooms->metrics.notes, 1);
        on_note(self, &note);
    }
}

bool fw_broker_rooms_take(fw_broker_loop_t *self, const fw_peer_t *peer,
                          fw_broker_gateway_t *gateway, const fw_message_t *message)
{
    if (message->kind == FW_MESSAGE_PRESENCE_REQUEST) {
        answer(self, peer, &message->presence_request);
        return true;
    }
    if (message->kind != FW_MESSAGE_PRESENCE_REPORT && message->kind != FW_MESSAGE_CLIENT_NOTE)
        return false;
    if (!gateway) {
        fw_message_t goodbye = {.kind = FW_MESSAGE_GOODBYE, .goodbye = FW_TEXT("say hello first")};
        fw_broker_reply(self, self->control, FW_LINK_GATEWAY_DOWN, peer, &goodbye);
    } else if (message->kind == FW_MESSAGE_CLIENT_NOTE) {
        pass_on(self, gateway, &message->client_note);
    } else {
        acknowledge(self, gateway,
                    fw_presence_report(self->rooms->presence, gateway->incarnation,
                                       &message->presence_report, self->now_us));
    }
    return true;
}

void fw_broker_rooms_tick(fw_broker_loop_t *self)
{
    fw_presence_tick(self->rooms->presence, self->now_us);
}

int64_t fw_broker_rooms_next_us(const fw_broker_loop_t *self)
{
    return fw_presence_next_us(self->rooms->presence);
}

void fw_broker_rooms_show(fw_broker_loop_t *self)
{
    fw_broker_rooms_t *rooms = self->rooms;
    const fw_presence_counts_t *counts = fw_presence_counts(rooms->presence);
    fw_presence_counts_t *old = &rooms->reported;
    fw_counter_add(rooms->metrics.reports, counts->reports - old->reports);
    fw_counter_add(rooms->metrics.steps, counts->notes - old->notes);
    fw_counter_add(rooms->metrics.refused, counts->refused - old->refused);
    fw_gauge_set(rooms->metrics.rooms, (int64_t)counts->rooms);
    fw_gauge_set(rooms->metrics.members, (int64_t)counts->members);
    fw_gauge_set(rooms->metrics.bytes, (int64_t)counts->bytes);
    *old = *counts;
}
