/* roster.c - see roster.h: rooms, who is in them here, and what is reported.
 * SPDX-License-Identifier: MPL-2.0 */
#include "gateway/roster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/roster_internal.h"
#include "proto/channel.h"
#include "runtime/alloc.h"

enum { HASH_SIZE_EACH = 16 /* of a table, for each of its entries */ };

_Static_assert(FW_CHANNEL_SIZE_MAX <= UINT8_MAX && FW_USER_ID_SIZE_MAX <= UINT8_MAX,
               "sizes of names are bytes");

typedef fw_roster_room_t room_t;
typedef fw_roster_user_t user_t;

fw_roster_t *fw_roster_new(size_t bytes_max, const fw_roster_output_t *output)
{
    fw_roster_t *self = fw_alloc(1, sizeof *self);
    self->output = *output;
    self->bytes_max = bytes_max;
    self->begins = true;
    return self;
}

const fw_roster_counts_t *fw_roster_counts(const fw_roster_t *self)
{
    return &self->counts;
}

/* ------ rooms */

static size_t room_bytes(const room_t *room)
{
    return sizeof *room + HASH_SIZE_EACH + room->name_size + 1;
}

fw_roster_room_t *fw_roster_room(fw_roster_t *self, fw_text_t channel)
{
    room_t *room;
    HASH_FIND(hh, self->rooms, channel.text, channel.size, room);
    return room;
}

static room_t *open_room(fw_roster_t *self, fw_text_t channel)
{
    room_t *room = fw_roster_room(self, channel);
    if (room)
        return room;
    room = fw_alloc(1, sizeof *room + channel.size + 1);
    room->name_size = (uint8_t)channel.size;
    memcpy(room->name, channel.text, channel.size);
    HASH_ADD_KEYPTR(hh, self->rooms, room->name, room->name_size, room);
    self->counts.rooms++;
    self->counts.bytes += room_bytes(room);
    return room;
}

void fw_roster_forget_if_unused(fw_roster_t *self, fw_roster_room_t *room)
{
    if (room->users || room->watchers > 0)
        return;
    assert(!room->members && !room->needy && room->request_id == 0);
    HASH_DELETE(hh, self->rooms, room);
    self->counts.rooms--;
    self->counts.bytes -= room_bytes(room);
    free(room);
}

/* ------ users of this shard */

static size_t user_bytes(const user_t *user)
{
    return sizeof *user + HASH_SIZE_EACH + user->id_size + 1;
}

static void mark_dirty(fw_roster_t *self, user_t *user)
{
    if (!self->dirty)
        self->first = true;
    if (user->dirty)
        return;
    user->dirty = true;
    DL_APPEND(self->dirty, user);
}

static void unmark_dirty(fw_roster_t *self, user_t *user)
{
    if (user->dirty)
        DL_DELETE(self->dirty, user);
    user->dirty = false;
}

static void free_user(fw_roster_t *self, user_t *user)
{
    room_t *room = user->room;
    unmark_dirty(self, user);
    HASH_DELETE(hh, room->users, user);
    self->counts.users--;
    self->counts.bytes -= user_bytes(user);
    free(user);
    fw_roster_forget_if_unused(self, room);
}

void fw_roster_enter(fw_roster_t *self, fw_text_t channel, fw_text_t name)
{
    room_t *room = open_room(self, channel);
    user_t *user;
    HASH_FIND(hh, room->users, name.text, name.size, user);
    if (!user) {
        user = fw_alloc(1, sizeof *user + name.size + 1);
        user->room = room;
        user->id_size = (uint8_t)name.size;
        memcpy(user->id, name.text, name.size);
        HASH_ADD_KEYPTR(hh, room->users, user->id, user->id_size, user);
        self->counts.users++;
        self->counts.bytes += user_bytes(user);
    }
    user->sessions++;
    user->left = false;
    mark_dirty(self, user);
}

void fw_roster_leave(fw_roster_t *self, fw_text_t channel, fw_text_t name, bool on_purpose)
{
    room_t *room = fw_roster_room(self, channel);
    user_t *user;
    assert(room);
    HASH_FIND(hh, room->users, name.text, name.size, user);
    assert(user);
    assert(user->sessions > 0);
    user->sessions--;
    user->left = on_purpose;
    if (user->sessions == 0 && !user->known && !user->flying)
        free_user(self, user);
    else
        mark_dirty(self, user);
}

/* ------ reports */

/* Forgets the report under way; what it said is said again. */
static void ground(fw_roster_t *self)
{
    for (size_t i = 0; i < self->flight_count; i++)
        self->flight[i]->flying = false;
    self->flight_count = 0;
    self->flying = false;
}

static void start_over(fw_roster_t *self)
{
    room_t *room, *next_room;
    user_t *user, *next;
    ground(self);
    self->begins = true;
    self->starting = true;
    self->starting_left = 0;
    self->due_ms = 0;
    HASH_ITER(hh, self->rooms, room, next_room)
    {
        HASH_ITER(hh, room->users, user, next)
        {
            user->known = false;
            unmark_dirty(self, user);
            if (user->sessions > 0) {
                user->dirty = true;
                DL_APPEND(self->dirty, user);
                self->starting_left++;
            } else {
                free_user(self, user); /* with the last one the room may go */
            }
        }
    }
}

void fw_roster_linked(fw_roster_t *self)
{
    start_over(self);
    fw_roster_suspect(self);
}

static void take_off(fw_roster_t *self)
{
    size_t rooms = 0;
    size_t count = 0;
    while (self->dirty && count < FW_PRESENCE_CHANGES_MAX) {
        user_t *user = self->dirty;
        unmark_dirty(self, user);
        user->flying = true;
        user->sent = user->sessions;
        self->flight[count] = user;
        self->said[count] =
            (fw_room_member_t){{user->id, user->id_size}, user->sessions, user->left};
        if (count == 0 || self->flight[count - 1]->room != user->room)
            self->said_rooms[rooms++] =
                (fw_room_members_t){fw_roster_name(user->room), &self->said[count], 0};
        self->said_rooms[rooms - 1].members_count++;
        count++;
    }
    self->flight_count = count;
    /* Those that begin it are first in the list; some may have left meanwhile. */
    self->starting_left -= count < self->starting_left ? count : self->starting_left;
    if (!self->dirty)
        self->starting_left = 0;
    self->flying = true;
    self->report = (fw_presence_report_t){
        .number = ++self->number,
        .begin = self->begins,
        .complete = self->starting && self->starting_left == 0,
        .rooms = self->said_rooms,
        .rooms_count = rooms,
    };
    self->begins = false;
    if (self->report.complete)
        self->starting = false;
}

bool fw_roster_next_report(fw_roster_t *self, int64_t now_ms, fw_presence_report_t *ret_report)
{
    if (self->flying) {
        if (now_ms - self->sent_ms < FW_ROSTER_REPORT_MS)
            return false;
    } else {
        bool wanted = self->dirty || self->starting;
        /* Whoever comes with the first one goes with it. */
        if (self->first && self->due_ms < now_ms + FW_ROSTER_BATCH_MS && !self->starting)
            self->due_ms = now_ms + FW_ROSTER_BATCH_MS;
        self->first = false;
        if (!wanted || now_ms < self->due_ms)
            return false;
        take_off(self);
    }
    self->sent_ms = now_ms;
    self->counts.reports++;
    *ret_report = self->report;
    return true;
}

/* What the report said is known now; what has changed since then is for the next one. */
static void land(fw_roster_t *self)
{
    for (size_t i = 0; i < self->flight_count; i++) {
        user_t *user = self->flight[i];
        user->flying = false;
        user->known = user->sent > 0;
        if (user->sessions == 0 && !user->known)
            free_user(self, user);
        else if (user->sessions == user->sent)
            unmark_dirty(self, user);
    }
    self->flight_count = 0;
    self->flying = false;
}

void fw_roster_acknowledged(fw_roster_t *self, const fw_presence_ack_t *ack, int64_t now_ms)
{
    if (ack->again) {
        /* One that is begun already will do. */
        if (!self->flying || !self->report.begin)
            start_over(self);
        return;
    }
    if (!self->flying || ack->number != self->report.number)
        return;
    land(self);
    self->due_ms = self->starting ? now_ms : self->sent_ms + FW_ROSTER_BATCH_MS;
}

/* ------ who watches */

void fw_roster_watch(fw_roster_t *self, fw_text_t channel)
{
    room_t *room = open_room(self, channel);
    if (room->watchers++ > 0)
        return;
    DL_APPEND2(self->watched, room, watched_prev, watched_next);
    self->watched_count++;
    fw_roster_need(self, room);
}

void fw_roster_unwatch(fw_roster_t *self, fw_text_t channel)
{
    room_t *room = fw_roster_room(self, channel);
    assert(room);
    assert(room->watchers > 0);
    if (--room->watchers > 0)
        return;
    DL_DELETE2(self->watched, room, watched_prev, watched_next);
    self->watched_count--;
    fw_roster_need_not(self, room);
    fw_roster_clear_list(self, room);
    room->epoch = 0;
    room->too_many = room->cropped = false;
    room->settles_ms = 0;
    fw_roster_forget_if_unused(self, room);
}

void fw_roster_destroy(fw_roster_t **self_p)
{
    fw_roster_t *self = *self_p;
    room_t *room, *next_room;
    if (!self)
        return;
    ground(self);
    HASH_ITER(hh, self->rooms, room, next_room)
    {
        room->watchers++; /* keeps it while its users go */
        while (room->users)
            free_user(self, room->users);
        if (room->watchers > 1) {
            DL_DELETE2(self->watched, room, watched_prev, watched_next);
            fw_roster_need_not(self, room);
            fw_roster_clear_list(self, room);
        }
        room->watchers = 0;
        fw_roster_forget_if_unused(self, room);
    }
    assert(self->counts.bytes == 0);
    free(self->list);
    free(self);
    *self_p = NULL;
}
