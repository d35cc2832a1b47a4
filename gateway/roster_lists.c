/* roster_lists.c - see roster.h: the lists of rooms that somebody watches.
 * SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/roster_internal.h"
#include "runtime/alloc.h"

enum {
    HASH_SIZE_EACH = 16,    /* of a table, for each of its entries */
    ASK_AGAIN_MS_MIN = 200, /* between two questions about one room */
    SCAN_MS = 20,           /* between two looks at rooms that could not be asked about */
};

typedef fw_roster_room_t room_t;
typedef fw_roster_member_t member_t;

/* ------ members */

static size_t member_bytes(const member_t *member)
{
    return sizeof *member + HASH_SIZE_EACH + member->id_size + 1;
}

static void remove_member(fw_roster_t *self, room_t *room, member_t *member)
{
    HASH_DELETE(hh, room->members, member);
    self->counts.members--;
    self->counts.bytes -= member_bytes(member);
    free(member);
}

void fw_roster_clear_list(fw_roster_t *self, fw_roster_room_t *room)
{
    member_t *member, *next;
    HASH_ITER(hh, room->members, member, next)
    {
        remove_member(self, room, member);
    }
}

static void tell(fw_roster_t *self, const room_t *room)
{
    if (self->changes_count > 0)
        self->output.changed(self->output.context, fw_roster_name(room), self->changes,
                             self->changes_count);
    self->changes_count = 0;
}

static void note_change(fw_roster_t *self, const room_t *room, fw_text_t user, uint32_t before,
                        uint32_t now)
{
    if (before == now || self->quiet)
        return;
    if (self->changes_count == FW_ROSTER_CHANGES_MAX)
        tell(self, room);
    self->changes[self->changes_count++] = (fw_roster_change_t){user, before, now};
}

/* False when there is no memory for one more. The change borrows the user's name from said. */
static bool put(fw_roster_t *self, room_t *room, const fw_room_member_t *said)
{
    member_t *member;
    HASH_FIND(hh, room->members, said->user_id.text, said->user_id.size, member);
    uint32_t before = member ? member->sessions : 0;
    note_change(self, room, said->user_id, before, said->sessions);
    if (said->sessions == 0) {
        if (member)
            remove_member(self, room, member);
        return true;
    }
    if (!member) {
        if (self->counts.bytes >= self->bytes_max)
            return false;
        member = fw_alloc(1, sizeof *member + said->user_id.size + 1);
        member->id_size = (uint8_t)said->user_id.size;
        memcpy(member->id, said->user_id.text, said->user_id.size);
        HASH_ADD_KEYPTR(hh, room->members, member->id, member->id_size, member);
        self->counts.members++;
        self->counts.bytes += member_bytes(member);
    }
    member->sessions = said->sessions;
    member->stale = false;
    return true;
}

/* From now on only the number of its users is known. */
static void count_only(fw_roster_t *self, room_t *room, uint64_t count)
{
    bool was_listed = !room->too_many;
    bool other = room->count != count;
    self->changes_count = 0;
    fw_roster_clear_list(self, room);
    room->too_many = true;
    room->count = count;
    if (was_listed)
        self->output.renewed(self->output.context, fw_roster_name(room));
    else if (other)
        self->output.changed(self->output.context, fw_roster_name(room), NULL, 0);
}

static void crop(fw_roster_t *self, room_t *room, uint64_t count)
{
    room->cropped = true;
    count_only(self, room, count);
}

/* ------ what is asked */

void fw_roster_need(fw_roster_t *self, fw_roster_room_t *room)
{
    self->scan_ms = 0;
    if (room->needy)
        return;
    room->needy = true;
    DL_APPEND2(self->needy, room, needy_prev, needy_next);
}

static void stop_asking(fw_roster_t *self, room_t *room)
{
    if (room->request_id > 0)
        self->asked_count--;
    room->request_id = 0;
    self->scan_ms = 0;
}

void fw_roster_need_not(fw_roster_t *self, fw_roster_room_t *room)
{
    if (room->needy)
        DL_DELETE2(self->needy, room, needy_prev, needy_next);
    room->needy = false;
    stop_asking(self, room);
}

void fw_roster_suspect(fw_roster_t *self)
{
    room_t *room;
    DL_FOREACH2(self->watched, room, watched_next)
    {
        stop_asking(self, room);
        room->asked_ms = 0;
        fw_roster_need(self, room);
    }
}

static bool may_ask(const fw_roster_t *self, const room_t *room, int64_t now_ms)
{
    if (room->asked_ms > 0 &&
        now_ms - room->asked_ms < (room->request_id > 0 ? FW_ROSTER_ANSWER_MS : ASK_AGAIN_MS_MIN))
        return false;
    if (room->request_id == 0 && self->asked_count >= FW_ROSTER_ASKED_MAX)
        return false;
    return self->output.ready(self->output.context, fw_roster_name(room));
}

bool fw_roster_next_question(fw_roster_t *self, int64_t now_ms, uint64_t request_id,
                             fw_presence_request_t *ret_request)
{
    size_t count = 0;
    room_t *room;
    if (!self->needy || now_ms - self->scan_ms < SCAN_MS)
        return false;
    self->scan_ms = now_ms;
    DL_FOREACH2(self->needy, room, needy_next)
    {
        if (count == FW_PRESENCE_QUESTIONS_MAX)
            break;
        if (!may_ask(self, room, now_ms))
            continue;
        if (room->request_id == 0)
            self->asked_count++;
        room->request_id = request_id;
        room->asked_ms = now_ms;
        /* A list that is not known to be whole is compared as a whole. */
        bool whole = room->settles_ms == 0 && !room->cropped;
        self->asked[count++] =
            (fw_room_version_t){fw_roster_name(room), whole ? room->epoch : 0, room->version};
    }
    if (count == 0)
        return false;
    self->counts.questions += count;
    *ret_request = (fw_presence_request_t){request_id, self->asked, count};
    return true;
}

/* ------ what the broker says */

/* Everybody who is not in the answer has left, unless the broker may not have heard of them yet. */
static void replace(fw_roster_t *self, room_t *room, const fw_presence_reply_t *reply)
{
    member_t *member, *next;
    for (member = room->members; member; member = member->hh.next)
        member->stale = true;
    for (size_t i = 0; i < reply->members_count; i++) {
        if (put(self, room, &reply->members[i]))
            continue;
        crop(self, room, reply->count);
        return;
    }
    tell(self, room);
    room->count = HASH_COUNT(room->members);
    if (reply->settling_ms > 0)
        return;
    HASH_ITER(hh, room->members, member, next)
    {
        if (!member->stale)
            continue;
        note_change(self, room, (fw_text_t){member->id, member->id_size}, member->sessions, 0);
    }
    tell(self, room); /* before the names go with the members */
    HASH_ITER(hh, room->members, member, next)
    {
        if (member->stale)
            remove_member(self, room, member);
    }
    room->count = HASH_COUNT(room->members);
}

void fw_roster_answered(fw_roster_t *self, const fw_presence_reply_t *reply, int64_t now_ms)
{
    room_t *room = fw_roster_room(self, reply->channel);
    if (!room || room->watchers == 0 || room->request_id == 0 ||
        room->request_id != reply->request_id)
        return;
    fw_roster_need_not(self, room);
    bool was_known = room->epoch != 0;
    bool was_listed = was_known && !room->too_many;
    room->settles_ms = reply->settling_ms > 0 ? now_ms + reply->settling_ms : 0;
    room->epoch = reply->epoch;
    room->version = reply->version;
    if (reply->same) {
        /* Only said to who has the whole list. */
    } else if (reply->too_many) {
        room->cropped = false;
        if (!was_known)
            room->too_many = false;
        count_only(self, room, reply->count);
    } else {
        room->too_many = room->cropped = false;
        self->quiet = !was_listed;
        replace(self, room, reply);
        self->quiet = false;
        if (!was_listed && !room->too_many) {
            self->output.renewed(self->output.context, fw_roster_name(room));
        }
    }
    if (room->seen_epoch == room->epoch && room->seen_version > room->version)
        fw_roster_need(self, room);
}

static void apply(fw_roster_t *self, room_t *room, const fw_presence_diff_t *diff)
{
    room->version = diff->version;
    for (size_t i = 0; i < diff->changes_count; i++) {
        if (put(self, room, &diff->changes[i]))
            continue;
        crop(self, room, diff->count);
        return;
    }
    room->count = HASH_COUNT(room->members);
    tell(self, room);
}

void fw_roster_step(fw_roster_t *self, fw_text_t channel, const fw_presence_diff_t *diff)
{
    room_t *room = fw_roster_room(self, channel);
    if (!room || room->watchers == 0)
        return;
    if (room->epoch == diff->epoch && diff->version <= room->version)
        return;
    bool follows = diff->previous == room->version ||
                   (diff->previous == FW_PRESENCE_FROM_EMPTY && !room->members && !room->too_many);
    if (room->epoch == diff->epoch && (diff->too_many || room->cropped)) {
        room->version = diff->version;
        count_only(self, room, diff->count);
    } else if (room->epoch == diff->epoch && follows && !room->too_many) {
        apply(self, room, diff);
    } else {
        if (room->seen_epoch != diff->epoch || diff->version > room->seen_version)
            room->seen_version = diff->version;
        room->seen_epoch = diff->epoch;
        if (room->epoch != 0)
            self->counts.gaps++;
        fw_roster_need(self, room);
    }
}

bool fw_roster_list(fw_roster_t *self, fw_text_t channel, fw_roster_list_t *ret_list)
{
    room_t *room = fw_roster_room(self, channel);
    member_t *member;
    size_t count = 0;
    if (!room || room->epoch == 0)
        return false;
    size_t needed = HASH_COUNT(room->members) + 1;
    if (needed > self->list_capacity) {
        self->list_capacity = needed * 2;
        self->list = fw_realloc(self->list, self->list_capacity, sizeof *self->list);
    }
    for (member = room->members; member; member = member->hh.next)
        self->list[count++] =
            (fw_room_member_t){{member->id, member->id_size}, member->sessions, false};
    *ret_list = (fw_roster_list_t){room->count, room->too_many, self->list, count};
    return true;
}

void fw_roster_tick(fw_roster_t *self, int64_t now_ms)
{
    room_t *room;
    size_t visits = (self->watched_count + FW_ROSTER_AUDIT_S - 1) / FW_ROSTER_AUDIT_S;
    for (; visits > 0; visits--) {
        room = self->watched;
        DL_DELETE2(self->watched, room, watched_prev, watched_next);
        DL_APPEND2(self->watched, room, watched_prev, watched_next);
        /* One that was cropped is asked for as a whole: only when there is room for it. */
        if (!room->cropped || self->counts.bytes < self->bytes_max - self->bytes_max / 4)
            fw_roster_need(self, room);
    }
    DL_FOREACH2(self->watched, room, watched_next)
    {
        if (room->settles_ms > 0 && room->settles_ms <= now_ms)
            fw_roster_need(self, room);
    }
}
