/* presence_tell.c - what rooms are told, and what they answer.   SPDX-License-Identifier: MPL-2.0
 */
#include "broker/presence_internal.h"
#include "runtime/alloc.h"

typedef fw_presence_member_t member_t;
typedef fw_presence_room_t room_t;

static void say(fw_presence_t *self, room_t *room, size_t count, bool follows)
{
    uint64_t previous = room->empty ? FW_PRESENCE_FROM_EMPTY : room->version;
    fw_note_t note = {
        .channel = {room->name, room->name_size},
        .presence = {.epoch = self->epoch,
                     .previous = follows ? previous : 0,
                     .version = ++self->clock,
                     .count = room->told_count,
                     .too_many = room->too_many,
                     .changes = self->list,
                     .changes_count = count},
    };
    room->version = note.presence.version;
    room->empty = false;
    self->counts.notes++;
    self->output.note(self->output.context, &note);
}

static fw_room_member_t *reserve(fw_presence_t *self, size_t count)
{
    if (count > self->list_capacity) {
        self->list_capacity = count * 2;
        self->list = fw_realloc(self->list, self->list_capacity, sizeof *self->list);
    }
    return self->list;
}

/* The room's list becomes what it should be, as far as one step goes. Returns the users in it;
 * those who are gone are left in *ret_gone. */
static size_t step(fw_presence_t *self, room_t *room, member_t **ret_gone)
{
    fw_room_member_t *list = reserve(self, FW_PRESENCE_BATCH_MAX);
    size_t count = 0;
    while (room->changes && count < FW_PRESENCE_BATCH_MAX) {
        member_t *member = room->changes;
        uint32_t sessions = fw_presence_sessions_of(member);
        DL_DELETE(room->changes, member);
        member->changed = false;
        if (sessions != member->told) {
            room->told_count += sessions > 0;
            room->told_count -= member->told > 0;
            member->told = sessions;
            list[count++] =
                (fw_room_member_t){{member->id, member->id_size}, sessions, sessions == 0};
        }
        if (sessions == 0 && !member->seats) {
            member->next = *ret_gone; /* its name is still in the list */
            *ret_gone = member;
        }
    }
    return count;
}

static void free_gone(fw_presence_t *self, member_t *gone)
{
    while (gone) {
        member_t *next = gone->next;
        fw_presence_remove_member(self, gone);
        gone = next;
    }
}

static bool is_crowded(const fw_presence_t *self, const room_t *room)
{
    size_t most = self->limits.members_max;
    /* Not to and fro at the limit. */
    if (room->too_many)
        most -= most / 8;
    return room->refused || HASH_COUNT(room->members) > most;
}

void fw_presence_flush(fw_presence_t *self, room_t *room)
{
    bool crowded = is_crowded(self, room);
    bool was_crowded = room->too_many;
    uint64_t steps = 0;
    room->too_many = crowded;
    do {
        member_t *gone = NULL;
        size_t count = step(self, room, &gone);
        /* Of a crowded room only the last step is told, and only its count; and of one that was,
         * the first has nothing before it. */
        if (!crowded && (count > 0 || (was_crowded && steps == 0)))
            say(self, room, count, !was_crowded || steps > 0);
        steps++;
        free_gone(self, gone);
    } while (room->changes);
    if (crowded)
        say(self, room, 0, true);
    /* Who has left made room for the list. */
    if (crowded && !is_crowded(self, room))
        fw_presence_schedule(self, room, self->ticked_us);
    fw_presence_close_room_if_empty(self, room);
}

void fw_presence_ask(fw_presence_t *self, const fw_room_version_t *asked, int64_t now_us,
                     fw_presence_reply_t *ret_reply)
{
    room_t *room;
    member_t *member, *next;
    size_t count = 0;
    HASH_FIND(hh, self->rooms, asked->channel.text, asked->channel.size, room);
    int64_t settling_us = self->settled_us - now_us;
    *ret_reply = (fw_presence_reply_t){
        .channel = asked->channel,
        .epoch = self->epoch,
        .version = room && !room->empty ? room->version : self->clock,
        .settling_ms = settling_us > 0 ? (uint32_t)(settling_us / 1000 + 1) : 0,
    };
    if (!room)
        return;
    ret_reply->too_many = room->too_many;
    ret_reply->count = room->told_count;
    ret_reply->same = asked->epoch == self->epoch && asked->version == ret_reply->version;
    if (room->too_many || ret_reply->same)
        return;
    fw_room_member_t *list = reserve(self, HASH_COUNT(room->members) + 1);
    HASH_ITER(hh, room->members, member, next)
    {
        if (member->told > 0)
            list[count++] = (fw_room_member_t){{member->id, member->id_size}, member->told, false};
    }
    ret_reply->members = list;
    ret_reply->members_count = count;
}
