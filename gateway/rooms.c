/* rooms.c - see rooms.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/rooms.h"

#include <assert.h>
#include <stdlib.h>

#include "gateway/event_json.h"
#include "gateway/room_json.h"
#include "runtime/alloc.h"

enum { JSON_SIZE_MIN = 4096 };

struct fw_rooms {
    fw_hub_t *hub;
    fw_roster_t *roster;
    fw_rooms_counts_t counts;
    fw_channel_t **noted; /* channels with notes */
    size_t noted_count;
    size_t noted_capacity;
    char *text;
    size_t text_size;
    int64_t now_us; /* of the last call that told it */
    int64_t ticked_us;
};

/* ------ notes */

static fw_notes_t *notes_of(fw_rooms_t *self, fw_channel_t *channel)
{
    if (channel->notes)
        return channel->notes;
    if (self->noted_count == self->noted_capacity) {
        self->noted_capacity = self->noted_capacity ? self->noted_capacity * 2 : 16;
        self->noted = fw_realloc(self->noted, self->noted_capacity, sizeof(fw_channel_t *));
    }
    channel->notes = fw_notes_new();
    channel->noted = (uint32_t)self->noted_count;
    self->noted[self->noted_count++] = channel;
    self->counts.notes_bytes += fw_notes_bytes(channel->notes);
    return channel->notes;
}

void fw_rooms_forget(fw_rooms_t *self, fw_channel_t *channel)
{
    if (!channel->notes)
        return;
    fw_channel_t *last = self->noted[--self->noted_count];
    last->noted = channel->noted;
    self->noted[last->noted] = last;
    self->counts.notes_bytes -= fw_notes_bytes(channel->notes);
    fw_notes_destroy(&channel->notes);
}

typedef void render_fn(fw_json_t *json, const void *args);

static fw_entry_t *entry_of(fw_rooms_t *self, uint64_t number, render_fn *render, const void *args)
{
    static const fw_exclude_t nobody = {{"", 0}, {"", 0}};
    fw_json_t json = {.buffer = self->text, .size = self->text_size};
    render(&json, args);
    if (json.needed > self->text_size) {
        self->text_size = json.needed * 2 > JSON_SIZE_MIN ? json.needed * 2 : JSON_SIZE_MIN;
        self->text = fw_realloc(self->text, self->text_size, 1);
        json = (fw_json_t){.buffer = self->text, .size = self->text_size};
        render(&json, args);
    }
    fw_bytes_t body = {(const uint8_t *)self->text, json.needed};
    return fw_entry_new(number, body, &nobody, self->now_us);
}

static void add_note(fw_rooms_t *self, fw_channel_t *channel, fw_note_kind_t kind,
                     render_fn *render, const void *args)
{
    fw_notes_t *notes = notes_of(self, channel);
    size_t before = fw_notes_bytes(notes);
    if (self->counts.notes_bytes > FW_ROOMS_BYTES_MAX) {
        fw_notes_clear(notes);
        fw_notes_drop_list(notes);
    }
    if (self->counts.notes_bytes - before + fw_notes_bytes(notes) > FW_ROOMS_BYTES_MAX) {
        self->counts.dropped++;
    } else {
        fw_entry_t *entry = entry_of(self, fw_notes_next_number(notes), render, args);
        fw_notes_add(notes, kind, &entry);
    }
    self->counts.notes_bytes += fw_notes_bytes(notes) - before;
    fw_hub_touch(self->hub, channel);
}

/* ------ who is there */

typedef struct {
    fw_text_t channel;
    const fw_roster_list_t *list;
    size_t part;
    const fw_roster_change_t *changes;
    size_t count;
} presence_t;

static void render_part(fw_json_t *json, const void *args)
{
    const presence_t *presence = args;
    fw_room_json_part(json, presence->channel, presence->list, presence->part);
}

static void render_changes(fw_json_t *json, const void *args)
{
    const presence_t *presence = args;
    fw_room_json_changes(json, presence->channel, presence->changes, presence->count);
}

static void render_count(fw_json_t *json, const void *args)
{
    const presence_t *presence = args;
    fw_room_json_count(json, presence->channel, presence->list->count);
}

/* Makes the list anew for those who wait for it. */
static void make_list(fw_rooms_t *self, fw_channel_t *channel)
{
    fw_roster_list_t list;
    fw_text_t name = fw_channel_name(channel);
    if (!fw_roster_list(self->roster, name, &list))
        return;
    fw_notes_t *notes = notes_of(self, channel);
    size_t before = fw_notes_bytes(notes);
    size_t count = fw_room_json_parts(&list);
    fw_entry_t **parts = fw_alloc(count, sizeof(fw_entry_t *));
    for (size_t i = 0; i < count; i++) {
        presence_t presence = {.channel = name, .list = &list, .part = i};
        parts[i] = entry_of(self, i + 1, render_part, &presence);
    }
    fw_notes_set_list(notes, parts, (uint32_t)count, self->now_us);
    self->counts.lists++;
    self->counts.notes_bytes += fw_notes_bytes(notes) - before;
    /* Whoever had read a part of the old one begins again. */
    for (uint32_t i = 0; i < channel->subscribers_count; i++) {
        fw_subscriber_t *subscriber = &channel->subscribers[i];
        if (subscriber->session->subscriptions[subscriber->index].parts)
            subscriber->note = 0;
    }
    fw_hub_touch(self->hub, channel);
}

static void changed(void *context, fw_text_t name, const fw_roster_change_t *changes, size_t count)
{
    fw_rooms_t *self = context;
    fw_channel_t *channel = fw_hub_find(self->hub, name);
    fw_roster_list_t list;
    presence_t presence = {.channel = name, .list = &list, .changes = changes, .count = count};
    if (!channel)
        return;
    self->counts.changes++;
    if (count > 0) {
        add_note(self, channel, FW_NOTE_PRESENCE, render_changes, &presence);
    } else if (fw_roster_list(self->roster, name, &list)) {
        add_note(self, channel, FW_NOTE_PRESENCE, render_count, &presence);
    }
}

static void renewed(void *context, fw_text_t name)
{
    fw_rooms_t *self = context;
    fw_channel_t *channel = fw_hub_find(self->hub, name);
    if (!channel)
        return;
    for (uint32_t i = 0; i < channel->subscribers_count; i++) {
        fw_subscriber_t *subscriber = &channel->subscribers[i];
        fw_subscription_t *subscription = &subscriber->session->subscriptions[subscriber->index];
        if (subscription->watches)
            subscription->list = true;
    }
    make_list(self, channel);
}

static bool ready(void *context, fw_text_t name)
{
    const fw_rooms_t *self = context;
    const fw_channel_t *channel = fw_hub_find(self->hub, name);
    return channel && channel->sync.state != FW_SYNC_FENCING;
}

fw_rooms_t *fw_rooms_new(fw_hub_t *hub)
{
    fw_rooms_t *self = fw_alloc(1, sizeof *self);
    fw_roster_output_t output = {self, changed, renewed, ready};
    self->hub = hub;
    self->roster = fw_roster_new(FW_ROSTER_BYTES_MAX, &output);
    return self;
}

void fw_rooms_destroy(fw_rooms_t **self_p)
{
    fw_rooms_t *self = *self_p;
    if (!self)
        return;
    assert(self->noted_count == 0);
    fw_roster_destroy(&self->roster);
    free(self->noted);
    free(self->text);
    free(self);
    *self_p = NULL;
}

fw_roster_t *fw_rooms_roster(fw_rooms_t *self)
{
    return self->roster;
}

const fw_rooms_counts_t *fw_rooms_counts(const fw_rooms_t *self)
{
    return &self->counts;
}

/* ------ sessions */

static bool may_be_seen(const fw_session_t *session, const fw_subscription_t *subscription)
{
    return session->claims && fw_claims_may(session->claims, FW_ACTION_PRESENCE,
                                            fw_channel_name(subscription->channel));
}

static void show(fw_rooms_t *self, fw_session_t *session, fw_subscription_t *subscription,
                 bool seen)
{
    fw_text_t name = fw_channel_name(subscription->channel);
    if (subscription->seen == seen)
        return;
    subscription->seen = seen;
    if (seen)
        fw_roster_enter(self->roster, name, fw_session_user(session));
    else
        fw_roster_leave(self->roster, name, fw_session_user(session), true);
}

void fw_rooms_joined(fw_rooms_t *self, fw_session_t *session, uint32_t index)
{
    fw_subscription_t *subscription = &session->subscriptions[index];
    fw_channel_t *channel = subscription->channel;
    if (channel->notes)
        channel->subscribers[subscription->place].note = fw_notes_head(channel->notes);
    show(self, session, subscription, may_be_seen(session, subscription));
}

void fw_rooms_leaving(fw_rooms_t *self, fw_session_t *session, uint32_t index, bool on_purpose)
{
    fw_subscription_t *subscription = &session->subscriptions[index];
    fw_text_t name = fw_channel_name(subscription->channel);
    if (subscription->watches)
        fw_roster_unwatch(self->roster, name);
    if (subscription->seen)
        fw_roster_leave(self->roster, name, fw_session_user(session), on_purpose);
    subscription->watches = subscription->list = subscription->parts = subscription->seen = false;
}

void fw_rooms_watch(fw_rooms_t *self, fw_session_t *session, uint32_t index, bool watches)
{
    fw_subscription_t *subscription = &session->subscriptions[index];
    fw_channel_t *channel = subscription->channel;
    fw_subscriber_t *subscriber = &channel->subscribers[subscription->place];
    fw_text_t name = fw_channel_name(channel);
    if (!watches && subscription->watches) {
        fw_roster_unwatch(self->roster, name);
        if (subscription->parts)
            subscriber->note = fw_notes_head(channel->notes);
        subscription->watches = subscription->list = subscription->parts = false;
    }
    if (!watches)
        return;
    if (!subscription->watches)
        fw_roster_watch(self->roster, name);
    subscription->watches = subscription->list = true;
    if (subscription->parts)
        subscriber->note = 0;
    if (!fw_notes_has_list(notes_of(self, channel)))
        make_list(self, channel);
    fw_session_touch(session, index);
    if (session->state == FW_SESSION_OPEN && !session->behind)
        fw_hub_mark(self->hub, session);
}

bool fw_rooms_recheck(fw_rooms_t *self, fw_session_t *session, uint32_t *ret_index)
{
    for (uint32_t i = 0; i < session->count; i++) {
        fw_subscription_t *subscription = &session->subscriptions[i];
        bool may = may_be_seen(session, subscription);
        show(self, session, subscription, may);
        if (may || !subscription->watches)
            continue;
        fw_rooms_watch(self, session, i, false);
        *ret_index = i;
        return true;
    }
    return false;
}

/* ------ the broker, and time */

typedef struct {
    fw_text_t channel;
    const fw_publication_t *publication;
} client_event_t;

static void render_event(fw_json_t *json, const void *args)
{
    const client_event_t *event = args;
    fw_event_json_note(json, event->channel, event->publication);
}

int fw_rooms_note(fw_rooms_t *self, const fw_note_t *note, fw_codec_t *codec, int64_t now_us,
                  fw_refusal_t *ret_refusal)
{
    fw_publication_t publication;
    fw_channel_t *channel = fw_hub_find(self->hub, note->channel);
    self->now_us = now_us;
    if (!channel)
        return 0; /* of another channel with this topic */
    if (note->publication.size == 0) {
        fw_roster_step(self->roster, note->channel, &note->presence);
        return 0;
    }
    int result = fw_codec_decode_publication(codec, note->publication, &publication, ret_refusal);
    if (result != 0) {
        self->counts.refused++;
        return result;
    }
    self->counts.events++;
    if (channel->subscribers_count > 0) {
        client_event_t event = {note->channel, &publication};
        add_note(self, channel, FW_NOTE_EVENT, render_event, &event);
    }
    return 0;
}

void fw_rooms_tick(fw_rooms_t *self, int64_t now_us)
{
    self->now_us = now_us;
    bool slow = now_us - self->ticked_us >= FW_ROOMS_TICK_MS * INT64_C(1000);
    for (size_t i = 0; i < self->noted_count; i++) {
        if (fw_notes_wants_list(self->noted[i]->notes))
            make_list(self, self->noted[i]);
    }
    if (!slow)
        return;
    self->ticked_us = now_us;
    self->counts.notes_bytes = 0;
    for (size_t i = 0; i < self->noted_count; i++) {
        fw_notes_expire(self->noted[i]->notes, now_us);
        self->counts.notes_bytes += fw_notes_bytes(self->noted[i]->notes);
    }
    fw_roster_tick(self->roster, now_us / 1000);
}
