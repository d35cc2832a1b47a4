/* presence.c - see presence.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/presence.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/presence_internal.h"
#include "proto/channel.h"
#include "runtime/alloc.h"

enum {
    STALL_US = 1000 * 1000,        /* not called for so long, this process stood still */
    LOOK_US = 250 * 1000,          /* between two looks at silent gateways */
    RECOVER_US = 10 * 1000 * 1000, /* between two tries to record those who were refused */
    CLOCK_FIRST = 16,              /* below: versions with a meaning */
    HASH_SIZE_EACH = 16,           /* of a table, for each of its entries */
};

typedef fw_presence_gateway_t gateway_t;
typedef fw_presence_member_t member_t;
typedef fw_presence_room_t room_t;
typedef fw_presence_seat_t seat_t;

fw_presence_t *fw_presence_new(const fw_presence_limits_t *limits, uint64_t epoch,
                               const fw_presence_output_t *output, int64_t now_us)
{
    assert(epoch != 0);
    assert(limits->members_max > 0 && limits->members_max <= FW_PRESENCE_MEMBERS_MAX);
    fw_presence_t *self = fw_alloc(1, sizeof *self);
    self->limits = *limits;
    self->output = *output;
    self->leaving = fw_timers_new();
    self->due = fw_timers_new();
    self->epoch = epoch;
    self->clock = CLOCK_FIRST;
    /* Until then some gateway may not have noticed yet that the broker is a new one. */
    self->settled_us = now_us + limits->grace_us;
    self->ticked_us = now_us;
    self->look_us = now_us + LOOK_US;
    return self;
}

const fw_presence_counts_t *fw_presence_counts(const fw_presence_t *self)
{
    return &self->counts;
}

/* ------ rooms and members */

static size_t room_bytes(const room_t *room)
{
    return sizeof *room + HASH_SIZE_EACH + room->name_size + 1;
}

static size_t member_bytes(const member_t *member)
{
    return sizeof *member + HASH_SIZE_EACH + member->id_size + 1;
}

void fw_presence_schedule(fw_presence_t *self, fw_presence_room_t *room, int64_t now_us)
{
    bool crowded = room->too_many;
    if (room->due.place == 0)
        fw_timers_set(self->due, &room->due,
                      now_us + (crowded ? FW_PRESENCE_COUNT_US : FW_PRESENCE_BATCH_US));
}

static void change(fw_presence_t *self, member_t *member, int64_t now_us)
{
    fw_presence_schedule(self, member->room, now_us);
    if (member->changed)
        return;
    member->changed = true;
    DL_APPEND(member->room->changes, member);
}

static room_t *open_room(fw_presence_t *self, fw_text_t name)
{
    room_t *room;
    HASH_FIND(hh, self->rooms, name.text, name.size, room);
    if (room || self->counts.bytes >= self->limits.bytes_max)
        return room;
    room = fw_alloc(1, sizeof *room + name.size + 1);
    room->name_size = (uint8_t)name.size;
    memcpy(room->name, name.text, name.size);
    room->due.owner = room;
    room->version = self->clock;
    room->empty = true;
    HASH_ADD_KEYPTR(hh, self->rooms, room->name, room->name_size, room);
    self->counts.rooms++;
    self->counts.bytes += room_bytes(room);
    return room;
}

void fw_presence_close_room_if_empty(fw_presence_t *self, room_t *room)
{
    if (room->members || room->due.place != 0)
        return;
    HASH_DELETE(hh, self->rooms, room);
    self->counts.rooms--;
    self->counts.bytes -= room_bytes(room);
    free(room);
}

static member_t *find_member(room_t *room, fw_text_t user)
{
    member_t *member;
    HASH_FIND(hh, room->members, user.text, user.size, member);
    return member;
}

static member_t *add_member(fw_presence_t *self, room_t *room, fw_text_t user)
{
    member_t *member = fw_alloc(1, sizeof *member + user.size + 1);
    member->room = room;
    member->id_size = (uint8_t)user.size;
    memcpy(member->id, user.text, user.size);
    member->leaves.owner = member;
    HASH_ADD_KEYPTR(hh, room->members, member->id, member->id_size, member);
    self->counts.members++;
    self->counts.bytes += member_bytes(member);
    return member;
}

void fw_presence_remove_member(fw_presence_t *self, member_t *member)
{
    assert(!member->seats);
    fw_timers_cancel(self->leaving, &member->leaves);
    if (member->changed)
        DL_DELETE(member->room->changes, member);
    HASH_DELETE(hh, member->room->members, member);
    self->counts.members--;
    self->counts.bytes -= member_bytes(member);
    free(member);
}

/* What its room should be told. */
uint32_t fw_presence_sessions_of(const member_t *member)
{
    if (member->live > 0)
        return member->live < UINT32_MAX ? (uint32_t)member->live : UINT32_MAX;
    return member->leaves.place != 0 ? member->last : 0;
}

/* The last moment at which one of its gateways may come back. */
static int64_t last_hope_us(const fw_presence_t *self, const member_t *member)
{
    int64_t latest_us = 0;
    seat_t *seat;
    DL_FOREACH2(member->seats, seat, member_next)
    {
        int64_t until_us = seat->gateway->seen_us + self->limits.grace_us;
        if (until_us > latest_us)
            latest_us = until_us;
    }
    return latest_us;
}

/* After its live sessions changed. leave_us: when it is gone if nobody vouches for it. */
static void settle(fw_presence_t *self, member_t *member, int64_t leave_us, int64_t now_us)
{
    if (member->live > 0) {
        fw_timers_cancel(self->leaving, &member->leaves);
        member->last = fw_presence_sessions_of(member);
    } else {
        int64_t hope_us = last_hope_us(self, member);
        if (hope_us > leave_us)
            leave_us = hope_us;
        if (member->leaves.place != 0 && member->leaves.due_us >= leave_us)
            return; /* another one of its connections may still come back */
        if (leave_us <= now_us)
            fw_timers_cancel(self->leaving, &member->leaves);
        else
            fw_timers_set(self->leaving, &member->leaves, leave_us);
    }
    if (fw_presence_sessions_of(member) != member->told || member->told == 0)
        change(self, member, now_us);
}

/* ------ seats */

static seat_t *find_seat(const member_t *member, const gateway_t *gateway)
{
    seat_t *seat;
    DL_FOREACH2(member->seats, seat, member_next)
    {
        if (seat->gateway == gateway)
            return seat;
    }
    return NULL;
}

static seat_t *add_seat(fw_presence_t *self, member_t *member, gateway_t *gateway)
{
    seat_t *seat = fw_alloc(1, sizeof *seat);
    seat->gateway = gateway;
    seat->member = member;
    DL_APPEND2(member->seats, seat, member_prev, member_next);
    DL_APPEND2(gateway->seats, seat, gateway_prev, gateway_next);
    self->counts.bytes += sizeof *seat;
    return seat;
}

static void remove_seat(fw_presence_t *self, seat_t *seat)
{
    if (!seat->gateway->silent)
        seat->member->live -= seat->sessions;
    DL_DELETE2(seat->member->seats, seat, member_prev, member_next);
    DL_DELETE2(seat->gateway->seats, seat, gateway_prev, gateway_next);
    self->counts.bytes -= sizeof *seat;
    free(seat);
}

static void refuse(fw_presence_t *self, room_t *room, int64_t now_us)
{
    self->counts.refused++;
    if (self->recover_us == 0)
        self->recover_us = now_us + RECOVER_US;
    if (!room)
        return;
    room->refused = true;
    fw_presence_schedule(self, room, now_us);
}

static void sit(fw_presence_t *self, gateway_t *gateway, room_t *room, const fw_room_member_t *said,
                int64_t now_us)
{
    member_t *member = find_member(room, said->user_id);
    seat_t *seat = member ? find_seat(member, gateway) : NULL;
    if (!seat && self->counts.bytes >= self->limits.bytes_max) {
        refuse(self, room, now_us);
        return;
    }
    if (!member)
        member = add_member(self, room, said->user_id);
    if (!seat)
        seat = add_seat(self, member, gateway);
    member->live = member->live - seat->sessions + said->sessions;
    seat->sessions = said->sessions;
    seat->generation = gateway->generation;
    settle(self, member, now_us, now_us);
}

static void stand_up(fw_presence_t *self, seat_t *seat, bool on_purpose, int64_t now_us)
{
    member_t *member = seat->member;
    remove_seat(self, seat);
    settle(self, member, on_purpose ? now_us : now_us + self->limits.grace_us, now_us);
}

/* ------ gateways */

static gateway_t *find_gateway(const fw_presence_t *self, const uint8_t *incarnation)
{
    gateway_t *gateway;
    HASH_FIND(hh, self->gateways, incarnation, FW_INCARNATION_SIZE, gateway);
    return gateway;
}

static void fall_silent(fw_presence_t *self, gateway_t *gateway, int64_t now_us)
{
    seat_t *seat;
    if (gateway->silent)
        return;
    gateway->silent = true;
    DL_FOREACH2(gateway->seats, seat, gateway_next)
    {
        seat->member->live -= seat->sessions;
        settle(self, seat->member, 0, now_us);
    }
}

static void be_heard(fw_presence_t *self, gateway_t *gateway, int64_t now_us)
{
    seat_t *seat;
    gateway->seen_us = now_us;
    if (!gateway->silent)
        return;
    gateway->silent = false;
    DL_FOREACH2(gateway->seats, seat, gateway_next)
    {
        seat->member->live += seat->sessions;
        settle(self, seat->member, 0, now_us);
    }
}

static void forget_gateway(fw_presence_t *self, gateway_t *gateway, int64_t now_us)
{
    fall_silent(self, gateway, now_us);
    while (gateway->seats)
        stand_up(self, gateway->seats, true, now_us);
    HASH_DELETE(hh, self->gateways, gateway);
    self->counts.gateways--;
    free(gateway);
}

bool fw_presence_heard(fw_presence_t *self, const uint8_t incarnation[FW_INCARNATION_SIZE],
                       int64_t now_us)
{
    gateway_t *gateway = find_gateway(self, incarnation);
    if (gateway)
        be_heard(self, gateway, now_us);
    return gateway != NULL;
}

void fw_presence_gone(fw_presence_t *self, const uint8_t incarnation[FW_INCARNATION_SIZE],
                      int64_t now_us)
{
    gateway_t *gateway = find_gateway(self, incarnation);
    if (!gateway)
        return;
    gateway->seen_us = now_us;
    fall_silent(self, gateway, now_us);
}

static void take_room(fw_presence_t *self, gateway_t *gateway, const fw_room_members_t *said,
                      int64_t now_us)
{
    if (fw_channel_kind(said->channel) != FW_CHANNEL_KIND_ROOM)
        return;
    room_t *room = open_room(self, said->channel);
    for (size_t i = 0; i < said->members_count; i++) {
        const fw_room_member_t *user = &said->members[i];
        if (user->user_id.size == 0)
            continue;
        if (user->sessions > 0) {
            if (room)
                sit(self, gateway, room, user, now_us);
            else
                refuse(self, NULL, now_us);
            continue;
        }
        member_t *member = room ? find_member(room, user->user_id) : NULL;
        seat_t *seat = member ? find_seat(member, gateway) : NULL;
        if (seat)
            stand_up(self, seat, user->left, now_us);
    }
    if (room)
        fw_presence_close_room_if_empty(self, room);
}

static void complete(fw_presence_t *self, gateway_t *gateway, int64_t now_us)
{
    seat_t *seat, *next;
    gateway->starting = false;
    DL_FOREACH_SAFE2(gateway->seats, seat, next, gateway_next)
    {
        if (seat->generation != gateway->generation)
            stand_up(self, seat, false, now_us);
    }
}

fw_presence_ack_t fw_presence_report(fw_presence_t *self,
                                     const uint8_t incarnation[FW_INCARNATION_SIZE],
                                     const fw_presence_report_t *report, int64_t now_us)
{
    gateway_t *gateway = find_gateway(self, incarnation);
    self->counts.reports++;
    if (!gateway && !report->begin)
        return (fw_presence_ack_t){.again = true};
    if (!gateway) {
        gateway = fw_alloc(1, sizeof *gateway);
        memcpy(gateway->incarnation, incarnation, FW_INCARNATION_SIZE);
        HASH_ADD(hh, self->gateways, incarnation, FW_INCARNATION_SIZE, gateway);
        self->counts.gateways++;
    }
    be_heard(self, gateway, now_us);
    if (report->number <= gateway->number)
        return (fw_presence_ack_t){.number = gateway->number};
    if (!report->begin && report->number != gateway->number + 1)
        return (fw_presence_ack_t){.number = gateway->number, .again = true};
    gateway->number = report->number;
    if (report->begin) {
        gateway->generation++;
        gateway->starting = true;
    }
    for (size_t i = 0; i < report->rooms_count; i++)
        take_room(self, gateway, &report->rooms[i], now_us);
    if (report->complete && gateway->starting)
        complete(self, gateway, now_us);
    return (fw_presence_ack_t){.number = gateway->number};
}

/* ------ time */

/* What was not looked at was not silent: it may wait to be read. */
static void forgive_own_pause(fw_presence_t *self, int64_t now_us)
{
    int64_t pause_us = now_us - self->ticked_us;
    gateway_t *gateway;
    self->ticked_us = now_us;
    if (pause_us < STALL_US)
        return;
    for (gateway = self->gateways; gateway; gateway = gateway->hh.next)
        gateway->seen_us +=
            gateway->seen_us + pause_us < now_us ? pause_us : now_us - gateway->seen_us;
}

static void look_at_gateways(fw_presence_t *self, int64_t now_us)
{
    gateway_t *gateway, *next;
    self->look_us = now_us + LOOK_US;
    HASH_ITER(hh, self->gateways, gateway, next)
    {
        if (now_us - gateway->seen_us >= self->limits.grace_us && gateway->silent)
            forget_gateway(self, gateway, now_us);
        else if (now_us - gateway->seen_us >= FW_PRESENCE_SILENCE_US)
            fall_silent(self, gateway, now_us);
    }
}

/* Asks all gateways again when there is room for those who were refused. */
static void recover(fw_presence_t *self, int64_t now_us)
{
    self->recover_us = now_us + RECOVER_US;
    if (self->counts.bytes > self->limits.bytes_max - self->limits.bytes_max / 8)
        return;
    self->recover_us = 0;
    for (room_t *room = self->rooms; room; room = room->hh.next) {
        if (!room->refused)
            continue;
        room->refused = false;
        fw_presence_schedule(self, room, now_us);
    }
    for (gateway_t *gateway = self->gateways; gateway; gateway = gateway->hh.next)
        if (!gateway->silent)
            self->output.again(self->output.context, gateway->incarnation);
}

void fw_presence_tick(fw_presence_t *self, int64_t now_us)
{
    fw_timer_t *timer;
    forgive_own_pause(self, now_us);
    if (self->look_us <= now_us)
        look_at_gateways(self, now_us);
    while ((timer = fw_timers_expire(self->leaving, now_us)) != NULL)
        settle(self, timer->owner, now_us, now_us);
    if (self->recover_us > 0 && self->recover_us <= now_us)
        recover(self, now_us);
    while ((timer = fw_timers_expire(self->due, now_us)) != NULL)
        fw_presence_flush(self, timer->owner);
}

int64_t fw_presence_next_us(const fw_presence_t *self)
{
    int64_t next_us = fw_timers_next_us(self->due);
    int64_t leaves_us = fw_timers_next_us(self->leaving);
    if (self->gateways && self->look_us < next_us)
        next_us = self->look_us;
    return leaves_us < next_us ? leaves_us : next_us;
}

void fw_presence_destroy(fw_presence_t **self_p)
{
    fw_presence_t *self = *self_p;
    room_t *room, *next;
    member_t *member, *next_member;
    if (!self)
        return;
    while (self->gateways)
        forget_gateway(self, self->gateways, INT64_MAX / 2);
    HASH_ITER(hh, self->rooms, room, next)
    {
        fw_timers_cancel(self->due, &room->due);
        HASH_ITER(hh, room->members, member, next_member)
        {
            fw_presence_remove_member(self, member);
        }
        fw_presence_close_room_if_empty(self, room);
    }
    assert(self->counts.bytes == 0);
    fw_timers_destroy(&self->leaving);
    fw_timers_destroy(&self->due);
    free(self->list);
    free(self);
    *self_p = NULL;
}
