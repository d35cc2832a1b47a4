/* rooms_world.c - see rooms_world.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/simulation/rooms/rooms_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/channel.h"
#include "proto/position.h"
#include "runtime/alloc.h"

const char *const rooms[ROOMS] = {"room:a", "room:b", "room:c"};

uint32_t below(world_t *world, uint32_t bound)
{
    return (uint32_t)fw_random_below(&world->random, bound);
}

fw_text_t user_name(int user, char buffer[16])
{
    int size = snprintf(buffer, 16, "user-%d", user);
    return (fw_text_t){buffer, (size_t)size};
}

static int user_of(fw_text_t name)
{
    uint64_t number = 0;
    assert_int_equal(fw_offset_parse((fw_text_t){name.text + 5, name.size - 5}, &number), 0);
    return (int)number;
}

static int room_of(fw_text_t channel)
{
    return channel.text[5] - 'a';
}

/* ------ the network */

static void put(world_t *world, const packet_t *packet, fw_bytes_t frame)
{
    assert_true(world->packets_count < PACKETS_MAX);
    packet_t *copy = &world->packets[world->packets_count++];
    *copy = *packet;
    copy->bytes = fw_alloc(frame.size + 1, 1);
    memcpy(copy->bytes, frame.data, frame.size);
    copy->size = frame.size;
    copy->due_ms = world->now_ms + (world->chaos ? below(world, DELAY_MS_MAX) : 1);
}

static void dispatch(world_t *world, int from, int to, bool note, fw_bytes_t frame)
{
    gateway_t *gateway = &world->gateways[to == BROKER ? from : to];
    packet_t packet = {.to = to, .from = from, .note = note, .life = gateway->life};
    if (!gateway->linked || (world->chaos && below(world, 100) < 10))
        return;
    put(world, &packet, frame);
    if (world->chaos && below(world, 100) < 5)
        put(world, &packet, frame);
}

static void say(world_t *world, int from, int to, fw_link_t link, const fw_message_t *message)
{
    dispatch(world, from, to, false, fw_codec_encode(world->other, link, message));
}

/* ------ the broker */

static void on_note(void *context, const fw_note_t *note)
{
    world_t *world = context;
    int room = room_of(note->channel);
    assert_true(note->presence.changes_count <= FW_PRESENCE_BATCH_MAX);
    /* Several steps at once, or none for the time of a batch. */
    if (world->told_ms[room] != world->now_ms)
        assert_true(world->now_ms - world->told_ms[room] >= FW_PRESENCE_BATCH_US / 1000);
    world->told_ms[room] = world->now_ms;
    world->notes++;
    fw_bytes_t frame = fw_codec_encode_note_frame(world->other, note);
    for (int i = 0; i < GATEWAYS; i++)
        dispatch(world, BROKER, i, true, frame);
}

static void send_ack(world_t *world, int gateway, fw_presence_ack_t ack)
{
    fw_message_t message = {.kind = FW_MESSAGE_PRESENCE_ACK, .presence_ack = ack};
    say(world, BROKER, gateway, FW_LINK_GATEWAY_DOWN, &message);
}

static void on_again(void *context, const uint8_t incarnation[FW_INCARNATION_SIZE])
{
    world_t *world = context;
    for (int i = 0; i < GATEWAYS; i++)
        if (memcmp(world->gateways[i].incarnation, incarnation, FW_INCARNATION_SIZE) == 0)
            send_ack(world, i, (fw_presence_ack_t){.again = true});
}

void start_broker(world_t *world)
{
    fw_presence_limits_t limits = {GRACE_MS * INT64_C(1000), world->members_max, 1024 * 1024};
    fw_presence_output_t output = {world, on_note, on_again};
    world->presence =
        fw_presence_new(&limits, fw_random_next(&world->random) | 1, &output, world->now_ms * 1000);
}

static void broker_takes(world_t *world, const packet_t *packet)
{
    fw_message_t message;
    fw_refusal_t refusal;
    gateway_t *gateway = &world->gateways[packet->from];
    int64_t now_us = world->now_ms * 1000;
    assert_int_equal(fw_codec_decode(world->codec, FW_LINK_GATEWAY_UP,
                                     (fw_bytes_t){packet->bytes, packet->size}, &message, &refusal),
                     0);
    if (message.kind == FW_MESSAGE_PING) {
        if (!fw_presence_heard(world->presence, gateway->incarnation, now_us))
            send_ack(world, packet->from, (fw_presence_ack_t){.again = true});
    } else if (message.kind == FW_MESSAGE_PRESENCE_REPORT) {
        world->reports++;
        send_ack(world, packet->from,
                 fw_presence_report(world->presence, gateway->incarnation, &message.presence_report,
                                    now_us));
    } else {
        assert_int_equal(message.kind, FW_MESSAGE_PRESENCE_REQUEST);
        for (size_t i = 0; i < message.presence_request.rooms_count; i++) {
            fw_message_t reply = {.kind = FW_MESSAGE_PRESENCE_REPLY};
            fw_presence_ask(world->presence, &message.presence_request.rooms[i], now_us,
                            &reply.presence_reply);
            reply.presence_reply.request_id = message.presence_request.request_id;
            say(world, BROKER, packet->from, FW_LINK_GATEWAY_DOWN, &reply);
        }
    }
}

/* ------ gateways */

static void look_at_list(gateway_t *self, int room)
{
    fw_roster_list_t list;
    assert_true(fw_roster_list(self->roster, fw_text(rooms[room]), &list));
    self->too_many[room] = list.too_many;
    self->count[room] = list.count;
    memset(self->view[room], 0, sizeof self->view[room]);
    for (size_t i = 0; i < list.members_count; i++)
        self->view[room][user_of(list.members[i].user_id)] = list.members[i].sessions;
    self->known[room] = true;
}

static void on_changed(void *context, fw_text_t channel, const fw_roster_change_t *changes,
                       size_t count)
{
    gateway_t *self = context;
    int room = room_of(channel);
    fw_roster_list_t list;
    if (count == 0) {
        assert_true(self->too_many[room]);
        assert_true(fw_roster_list(self->roster, channel, &list));
        self->count[room] = list.count;
    }
    assert_true(count <= FW_ROSTER_CHANGES_MAX);
    for (size_t i = 0; i < count; i++) {
        int user = user_of(changes[i].user_id);
        self->world->changes++;
        assert_true(self->known[room]);
        assert_int_equal(self->view[room][user], changes[i].before);
        assert_true(changes[i].before != changes[i].now);
        if (user == ANCHOR && changes[i].now == 0)
            fail_msg("%s: who was there all the time is said to have left", rooms[room]);
        self->view[room][user] = changes[i].now;
    }
}

static void on_renewed(void *context, fw_text_t channel)
{
    look_at_list(context, room_of(channel));
}

static bool on_ready(void *context, fw_text_t channel)
{
    gateway_t *self = context;
    (void)channel;
    return !self->world->chaos || below(self->world, 4) > 0;
}

void enter(gateway_t *self, int room, int user)
{
    char name[16];
    self->sessions[room][user]++;
    fw_roster_enter(self->roster, fw_text(rooms[room]), user_name(user, name));
}

void start_gateway(world_t *world, int index)
{
    gateway_t *self = &world->gateways[index];
    uint32_t life = self->life + 1;
    *self = (gateway_t){.world = world, .index = index, .life = life};
    fw_roster_output_t output = {self, on_changed, on_renewed, on_ready};
    for (size_t i = 0; i < sizeof self->incarnation; i++)
        self->incarnation[i] = (uint8_t)fw_random_next(&world->random);
    self->roster = fw_roster_new(1024 * 1024, &output);
    self->link_up_ms = world->now_ms + below(world, 500);
}

void stop_gateway(gateway_t *self)
{
    fw_roster_destroy(&self->roster);
    self->linked = false;
}

static void gateway_takes(gateway_t *self, const packet_t *packet)
{
    fw_refusal_t refusal;
    fw_bytes_t frame = {packet->bytes, packet->size};
    world_t *world = self->world;
    if (packet->life != self->life || !self->linked)
        return;
    if (packet->note) {
        fw_note_t note;
        frame = (fw_bytes_t){frame.data + FW_TOPIC_SIZE, frame.size - FW_TOPIC_SIZE};
        assert_int_equal(fw_codec_decode_note(world->codec, frame, &note, &refusal), 0);
        fw_roster_step(self->roster, note.channel, &note.presence);
        return;
    }
    fw_message_t message;
    assert_int_equal(fw_codec_decode(world->codec, FW_LINK_GATEWAY_DOWN, frame, &message, &refusal),
                     0);
    if (message.kind == FW_MESSAGE_PRESENCE_ACK)
        fw_roster_acknowledged(self->roster, &message.presence_ack, world->now_ms);
    else
        fw_roster_answered(self->roster, &message.presence_reply, world->now_ms);
}

void gateway_speaks(gateway_t *self)
{
    world_t *world = self->world;
    fw_message_t report = {.kind = FW_MESSAGE_PRESENCE_REPORT};
    fw_message_t question = {.kind = FW_MESSAGE_PRESENCE_REQUEST};
    if (!self->linked && world->now_ms >= self->link_up_ms) {
        self->linked = true;
        fw_roster_linked(self->roster);
    }
    if (world->now_ms % 1000 < STEP_MS)
        fw_roster_tick(self->roster, world->now_ms);
    if (!self->linked)
        return;
    if (world->now_ms - self->pinged_ms >= 1000) {
        fw_message_t ping = {.kind = FW_MESSAGE_PING, .number = 1};
        self->pinged_ms = world->now_ms;
        say(world, self->index, BROKER, FW_LINK_GATEWAY_UP, &ping);
    }
    if (fw_roster_next_report(self->roster, world->now_ms, &report.presence_report))
        say(world, self->index, BROKER, FW_LINK_GATEWAY_UP, &report);
    if (fw_roster_next_question(self->roster, world->now_ms, ++self->last_request,
                                &question.presence_request))
        say(world, self->index, BROKER, FW_LINK_GATEWAY_UP, &question);
}

void deliver(world_t *world)
{
    for (size_t i = 0; i < world->packets_count;) {
        if (world->packets[i].due_ms > world->now_ms) {
            i++;
            continue;
        }
        packet_t packet = world->packets[i];
        /* Without chaos in the order of sending; else the last one takes the free place. */
        if (world->chaos) {
            world->packets[i] = world->packets[--world->packets_count];
        } else {
            memmove(&world->packets[i], &world->packets[i + 1],
                    (--world->packets_count - i) * sizeof packet);
        }
        if (packet.to != BROKER)
            gateway_takes(&world->gateways[packet.to], &packet);
        else if (world->gateways[packet.from].life == packet.life)
            broker_takes(world, &packet);
        free(packet.bytes);
    }
}
