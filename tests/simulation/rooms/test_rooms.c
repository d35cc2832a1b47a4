/* test_rooms.c - who is in which room: gateways and a broker that crash, links that lose, delay,
 * double and reorder.   SPDX-License-Identifier: MPL-2.0
 * When all is quiet again, every list that somebody watches is the truth, sessions included. Before
 * that: who was there all the time is never said to have left, and batches are bounded. The seed is
 * printed; FW_TEST_SEED=… runs that world alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/presence.h"
#include "gateway/roster.h"
#include "proto/channel.h"
#include "proto/codec.h"
#include "runtime/alloc.h"
#include "runtime/random.h"

enum {
    WORLDS = 150,
    GATEWAYS = 3,
    ROOMS = 3,
    USERS = 40,
    ANCHOR =
        0, /* a user with a session at gateway 0 in every room, from the beginning to the end */
    STEP_MS = 20,
    CHAOS_MS = 60 * 1000,
    QUIET_MS = 70 * 1000, /* more than a grace, the settling of a new broker, and an audit */
    GRACE_MS = 15 * 1000,
    OUTAGE_MS_MAX = 5000,
    DELAY_MS_MAX = 250,
    PACKETS_MAX = 4096,
    BROKER = GATEWAYS, /* as an address */
};

typedef struct {
    int to, from;
    bool note;
    int64_t due_ms;
    size_t size;
    uint8_t *bytes;
    uint32_t life; /* of the gateway that it is to or from */
} packet_t;

typedef struct world world_t;

typedef struct {
    world_t *world;
    int index;
    uint32_t life;
    uint8_t incarnation[FW_INCARNATION_SIZE];
    fw_roster_t *roster;
    int64_t link_up_ms; /* when the link is there again; in the past: it is */
    bool linked;
    int64_t pinged_ms;
    uint32_t sessions[ROOMS][USERS];
    uint32_t watchers[ROOMS];
    bool known[ROOMS];
    bool too_many[ROOMS];
    uint64_t count[ROOMS];
    uint32_t view[ROOMS][USERS]; /* what those who watch have been told */
    uint64_t last_request;
} gateway_t;

struct world {
    fw_random_t random;
    int64_t now_ms;
    bool chaos;
    uint32_t members_max;
    fw_presence_t *presence;
    fw_codec_t *codec;
    fw_codec_t *other;
    gateway_t gateways[GATEWAYS];
    packet_t packets[PACKETS_MAX];
    size_t packets_count;
    int64_t told_ms[ROOMS]; /* last note of the broker */
    uint64_t notes, reports, changes;
};

static const char *const rooms[ROOMS] = {"room:a", "room:b", "room:c"};

static uint32_t below(world_t *world, uint32_t bound)
{
    return (uint32_t)fw_random_below(&world->random, bound);
}

static fw_text_t user_name(int user, char buffer[16])
{
    int size = snprintf(buffer, 16, "user-%d", user);
    return (fw_text_t){buffer, (size_t)size};
}

static int user_of(fw_text_t name)
{
    return atoi(name.text + 5);
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

static void start_broker(world_t *world)
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

static void enter(gateway_t *self, int room, int user)
{
    char name[16];
    self->sessions[room][user]++;
    fw_roster_enter(self->roster, fw_text(rooms[room]), user_name(user, name));
}

static void start_gateway(world_t *world, int index)
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

static void stop_gateway(gateway_t *self)
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

static void gateway_speaks(gateway_t *self)
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

/* ------ what happens */

static void drop_link(world_t *world, int index)
{
    gateway_t *gateway = &world->gateways[index];
    gateway->linked = false;
    gateway->link_up_ms = world->now_ms + 1 + below(world, OUTAGE_MS_MAX);
}

static void move_user(world_t *world)
{
    gateway_t *gateway = &world->gateways[below(world, GATEWAYS)];
    int room = (int)below(world, ROOMS);
    int user = 1 + (int)below(world, USERS - 1);
    char name[16];
    if (gateway->sessions[room][user] > 0 && below(world, 2) == 0) {
        gateway->sessions[room][user]--;
        fw_roster_leave(gateway->roster, fw_text(rooms[room]), user_name(user, name),
                        below(world, 2) == 0);
    } else if (gateway->sessions[room][user] < 3) {
        enter(gateway, room, user);
    }
}

static void move_watcher(world_t *world)
{
    gateway_t *gateway = &world->gateways[below(world, GATEWAYS)];
    int room = (int)below(world, ROOMS);
    if (gateway->watchers[room] > 0 && below(world, 2) == 0) {
        fw_roster_unwatch(gateway->roster, fw_text(rooms[room]));
        if (--gateway->watchers[room] == 0)
            gateway->known[room] = false;
    } else if (gateway->watchers[room] < 3) {
        gateway->watchers[room]++;
        fw_roster_watch(gateway->roster, fw_text(rooms[room]));
    }
}

static void restart_broker(world_t *world)
{
    fw_presence_destroy(&world->presence);
    for (int i = 0; i < GATEWAYS; i++)
        drop_link(world, i);
    memset(world->told_ms, 0, sizeof world->told_ms);
    start_broker(world);
}

static void happen(world_t *world)
{
    uint32_t dice = below(world, 10000);
    if (dice < 2000)
        move_user(world);
    else if (dice < 2300)
        move_watcher(world);
    else if (dice < 2330)
        drop_link(world, (int)below(world, GATEWAYS));
    else if (dice < 2340) {
        int index = 1 + (int)below(world, GATEWAYS - 1); /* the anchor's stays */
        stop_gateway(&world->gateways[index]);
        start_gateway(world, index);
    } else if (dice < 2345) {
        restart_broker(world);
    } else if (dice < 2355) {
        for (int i = 0; i < 60; i++)
            move_user(world);
    }
}

static void deliver(world_t *world)
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

static void step(world_t *world)
{
    world->now_ms += STEP_MS;
    if (world->chaos)
        happen(world);
    deliver(world);
    for (int i = 0; i < GATEWAYS; i++)
        gateway_speaks(&world->gateways[i]);
    fw_presence_tick(world->presence, world->now_ms * 1000);
}

static void compare(const world_t *world, uint64_t seed)
{
    for (int room = 0; room < ROOMS; room++) {
        uint32_t truth[USERS] = {0};
        uint64_t count = 0;
        for (int i = 0; i < GATEWAYS; i++)
            for (int user = 0; user < USERS; user++)
                truth[user] += world->gateways[i].sessions[room][user];
        for (int user = 0; user < USERS; user++)
            count += truth[user] > 0;
        for (int i = 0; i < GATEWAYS; i++) {
            const gateway_t *gateway = &world->gateways[i];
            if (gateway->watchers[room] == 0)
                continue;
            if (!gateway->known[room] ||
                gateway->count[room] != (gateway->too_many[room] ? count : gateway->count[room]))
                fail_msg("seed %" PRIu64 ": gateway %d has no list of %s, or a wrong count", seed,
                         i, rooms[room]);
            if (count > world->members_max)
                assert_true(gateway->too_many[room]);
            for (int user = 0; user < USERS && !gateway->too_many[room]; user++) {
                if (gateway->view[room][user] != truth[user])
                    fail_msg("seed %" PRIu64
                             ": gateway %d says that user %d has %u sessions in %s, "
                             "not %u",
                             seed, i, user, gateway->view[room][user], rooms[room], truth[user]);
            }
        }
    }
}

static struct {
    uint64_t notes, reports, changes;
} totals;

static void run(uint64_t seed, uint32_t members_max)
{
    world_t *world = fw_alloc(1, sizeof *world);
    world->random.state = seed;
    world->members_max = members_max;
    world->chaos = true;
    world->now_ms = 1000000;
    world->codec = fw_codec_new();
    world->other = fw_codec_new();
    start_broker(world);
    for (int i = 0; i < GATEWAYS; i++)
        start_gateway(world, i);
    for (int room = 0; room < ROOMS; room++)
        enter(&world->gateways[0], room, ANCHOR);
    while (world->now_ms < 1000000 + CHAOS_MS)
        step(world);
    world->chaos = false;
    for (int i = 0; i < GATEWAYS; i++)
        if (!world->gateways[i].linked)
            world->gateways[i].link_up_ms = world->now_ms;
    while (world->now_ms < 1000000 + CHAOS_MS + QUIET_MS)
        step(world);
    compare(world, seed);
    totals.notes += world->notes;
    totals.reports += world->reports;
    totals.changes += world->changes;
    uint64_t changes = world->changes;
    for (int i = 0; i < 100; i++)
        step(world);
    assert_true(world->changes == changes);
    for (int i = 0; i < GATEWAYS; i++)
        stop_gateway(&world->gateways[i]);
    fw_presence_destroy(&world->presence);
    for (size_t i = 0; i < world->packets_count; i++)
        free(world->packets[i].bytes);
    fw_codec_destroy(&world->codec);
    fw_codec_destroy(&world->other);
    free(world);
}

static void run_all(uint32_t members_max)
{
    const char *given = getenv("FW_TEST_SEED");
    uint64_t first;
    fw_random_bytes(&first, sizeof first);
    first %= 1000000000;
    if (given)
        first = strtoull(given, NULL, 10);
    printf("FW_TEST_SEED=%" PRIu64 "\n", first);
    for (uint64_t seed = first; seed < first + (given ? 1 : WORLDS); seed++) {
        if (getenv("FW_TEST_VERBOSE"))
            printf("world %" PRIu64 "\n", seed);
        run(seed, members_max);
    }
    printf("%" PRIu64 " reports, %" PRIu64 " notes, %" PRIu64 " changes told\n", totals.reports,
           totals.notes, totals.changes);
    assert_true(totals.notes > 0 && totals.changes > 0);
}

static void lists_are_the_truth_when_all_is_quiet(void **state)
{
    (void)state;
    run_all(1000);
}

static void counts_are_the_truth_of_rooms_that_are_too_large(void **state)
{
    (void)state;
    run_all(12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_the_truth_when_all_is_quiet),
        cmocka_unit_test(counts_are_the_truth_of_rooms_that_are_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
