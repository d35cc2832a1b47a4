/* hub.c - see hub.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/hub.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "gateway/pacer.h"
#include "gateway/registry.h"
#include "gateway/rooms.h"
#include "gateway/topics.h"
#include "runtime/alloc.h"

typedef struct {
    fw_channel_t *first;
    fw_channel_t *last;
} list_t;

struct fw_hub {
    fw_hub_limits_t limits;
    fw_rooms_t *rooms;
    fw_registry_t *channels;
    fw_topics_t *topics;
    fw_hub_counts_t counts;
    list_t needy;
    list_t idle;            /* in the order of their deadlines */
    fw_channel_t **touched; /* grew since the last flush */
    size_t touched_count;
    size_t touched_capacity;
    fw_pacer_t pacer;      /* grew, and wait for their tick */
    fw_session_t **marked; /* to be flushed; NULL where a session has gone */
    size_t marked_first;
    size_t marked_end;
    size_t marked_capacity;
    uint64_t last_serial;
    size_t audited;      /* place in the registry */
    size_t audit_owed;   /* channels, in shares of a turn */
    size_t trimmed;      /* place in the registry */
    uint32_t fence_seen; /* under way at the last tick, and since when */
    int64_t fence_seen_ms;
    bool wants; /* some channel may have something to ask */
};

/* Both lists are the same but for the link that they use. */
#define LIST_FUNCTIONS(name)                                                                       \
    static void name##_add(list_t *list, fw_channel_t *channel)                                    \
    {                                                                                              \
        if (channel->name##_listed)                                                                \
            return;                                                                                \
        channel->name = (fw_channel_link_t){.previous = list->last};                               \
        channel->name##_listed = true;                                                             \
        if (list->last)                                                                            \
            list->last->name.next = channel;                                                       \
        else                                                                                       \
            list->first = channel;                                                                 \
        list->last = channel;                                                                      \
    }                                                                                              \
    static void name##_remove(list_t *list, fw_channel_t *channel)                                 \
    {                                                                                              \
        fw_channel_link_t *link = &channel->name;                                                  \
        if (!channel->name##_listed)                                                               \
            return;                                                                                \
        if (link->previous)                                                                        \
            link->previous->name.next = link->next;                                                \
        else                                                                                       \
            list->first = link->next;                                                              \
        if (link->next)                                                                            \
            link->next->name.previous = link->previous;                                            \
        else                                                                                       \
            list->last = link->previous;                                                           \
        *link = (fw_channel_link_t){NULL, NULL};                                                   \
        channel->name##_listed = false;                                                            \
    }

LIST_FUNCTIONS(needy)
LIST_FUNCTIONS(idle)

fw_hub_t *fw_hub_new(const fw_hub_limits_t *limits)
{
    fw_hub_t *self = fw_alloc(1, sizeof *self);
    self->limits = *limits;
    self->channels = fw_registry_new();
    self->topics = fw_topics_new();
    return self;
}

void fw_hub_set_rooms(fw_hub_t *self, fw_rooms_t *rooms)
{
    self->rooms = rooms;
}

static void forget_channel(fw_hub_t *self, fw_channel_t *channel)
{
    needy_remove(&self->needy, channel);
    idle_remove(&self->idle, channel);
    for (size_t i = 0; channel->touched && i < self->touched_count; i++)
        if (self->touched[i] == channel)
            self->touched[i] = NULL;
    if (channel->touched && channel->delay_ms > 0)
        fw_pacer_forget(&self->pacer, channel);
    self->counts.rings_bytes -= fw_sync_bytes(&channel->sync);
    if (self->rooms)
        fw_rooms_forget(self->rooms, channel);
    fw_topics_release(self->topics, fw_channel_name(channel));
    fw_registry_remove(self->channels, channel);
    self->counts.channels--;
    fw_channel_destroy(&channel);
}

void fw_hub_destroy(fw_hub_t **self_p)
{
    fw_hub_t *self = *self_p;
    if (!self)
        return;
    fw_channel_t *channel;
    while ((channel = fw_registry_at(self->channels, 0)) != NULL)
        forget_channel(self, channel);
    assert(self->counts.subscriptions == 0);
    assert(self->counts.rings_bytes == 0);
    fw_registry_destroy(&self->channels);
    fw_topics_destroy(&self->topics);
    free(self->touched);
    fw_pacer_clear(&self->pacer);
    free(self->marked);
    free(self);
    *self_p = NULL;
}

void fw_hub_set_told(fw_hub_t *self, uint32_t ping_ms, uint32_t reconnect_window_ms, bool degraded)
{
    self->limits.ping_ms = ping_ms;
    self->limits.reconnect_window_ms = reconnect_window_ms;
    self->limits.degraded = degraded;
}

const fw_hub_counts_t *fw_hub_counts(const fw_hub_t *self)
{
    return &self->counts;
}

/* Keeps a channel in the list of those that want something, or takes it off. */
static void update_needs(fw_hub_t *self, fw_channel_t *channel)
{
    if (fw_sync_needs(&channel->sync))
        self->wants = true;
    /* With a repair under way it stays, so that the tick finds requests without an answer. */
    if (channel->sync.state == FW_SYNC_FENCING || channel->sync.repair)
        needy_add(&self->needy, channel);
    else
        needy_remove(&self->needy, channel);
}

void fw_hub_mark(fw_hub_t *self, fw_session_t *session)
{
    if (session->listed)
        return;
    if (self->marked_end == self->marked_capacity) {
        self->marked_capacity = self->marked_capacity ? self->marked_capacity * 2 : 64;
        self->marked = fw_realloc(self->marked, self->marked_capacity, sizeof(fw_session_t *));
    }
    session->listed = true;
    self->marked[self->marked_end++] = session;
}

fw_session_t *fw_hub_next_marked(fw_hub_t *self)
{
    while (self->marked_first < self->marked_end) {
        fw_session_t *session = self->marked[self->marked_first++];
        if (!session)
            continue;
        session->listed = false;
        return session;
    }
    self->marked_first = 0;
    self->marked_end = 0;
    return NULL;
}

static void unmark(fw_hub_t *self, fw_session_t *session)
{
    for (size_t i = self->marked_first; session->listed && i < self->marked_end; i++) {
        if (self->marked[i] == session) {
            self->marked[i] = NULL;
            session->listed = false;
        }
    }
}

static void pass_on(fw_hub_t *self, fw_channel_t *channel)
{
    for (uint32_t i = 0; i < channel->subscribers_count; i++) {
        fw_session_t *session = channel->subscribers[i].session;
        fw_session_touch(session, channel->subscribers[i].index);
        /* One whose socket is full reads on when it drains; one that waits, after its welcome. */
        if (session->state == FW_SESSION_OPEN && !session->behind)
            fw_hub_mark(self, session);
    }
}

size_t fw_hub_marked(fw_hub_t *self)
{
    for (size_t i = 0; i < self->touched_count; i++) {
        if (!self->touched[i])
            continue;
        self->touched[i]->touched = false;
        pass_on(self, self->touched[i]);
    }
    self->touched_count = 0;
    return self->marked_end - self->marked_first;
}

int64_t fw_hub_pace(fw_hub_t *self, int64_t now_ms)
{
    fw_channel_t *channel;
    if (self->pacer.count == 0)
        return 0;
    (void)fw_pacer_next_ms(&self->pacer, now_ms);
    while ((channel = fw_pacer_take(&self->pacer, now_ms)) != NULL) {
        channel->touched = false;
        pass_on(self, channel);
    }
    return fw_pacer_next_ms(&self->pacer, now_ms);
}

void fw_hub_touch(fw_hub_t *self, fw_channel_t *channel)
{
    if (channel->touched)
        return;
    channel->touched = true;
    if (channel->delay_ms > 0) {
        fw_pacer_add(&self->pacer, channel);
        return;
    }
    if (self->touched_count == self->touched_capacity) {
        self->touched_capacity = self->touched_capacity ? self->touched_capacity * 2 : 16;
        self->touched = fw_realloc(self->touched, self->touched_capacity, sizeof(fw_channel_t *));
    }
    self->touched[self->touched_count++] = channel;
}

/* Decides what waited for the channel's state; answers those who asked. */
static void settle(fw_hub_t *self, fw_session_t *session, uint32_t index)
{
    fw_subscription_t *subscription = &session->subscriptions[index];
    const fw_wish_t *wish = subscription->wish;
    bool open = session->state == FW_SESSION_OPEN;
    if (!wish || (!open && wish->request_id_size > 0) || !fw_session_settle(session, index))
        return;
    if (subscription->reset != FW_RESET_NONE)
        self->counts.resets[subscription->reset]++;
    if (open)
        fw_session_say_subscribed(session, index,
                                  (fw_text_t){wish->request_id, wish->request_id_size});
    fw_session_settled(session, index);
    fw_session_touch(session, index);
    if (open)
        fw_hub_mark(self, session);
    else if (session->state == FW_SESSION_WAITING)
        fw_hub_await(self, session);
}

static void settle_all(fw_hub_t *self, fw_channel_t *channel)
{
    for (uint32_t i = 0; channel->unsettled > 0 && i < channel->subscribers_count; i++)
        settle(self, channel->subscribers[i].session, channel->subscribers[i].index);
}

static void reset_all(fw_hub_t *self, fw_channel_t *channel)
{
    fw_reset_reason_t reason = (fw_reset_reason_t)channel->sync.reset_reason;
    channel->serial = ++self->last_serial;
    for (uint32_t i = 0; i < channel->subscribers_count; i++) {
        fw_session_t *session = channel->subscribers[i].session;
        uint32_t index = channel->subscribers[i].index;
        fw_session_reset(session, index, reason);
        if (session->subscriptions[index].reset != FW_RESET_NONE)
            self->counts.resets[reason]++;
        if (session->state == FW_SESSION_OPEN && !session->behind)
            fw_hub_mark(self, session);
    }
}

/* Rings that have grown too large together drop their oldest events. */
static void trim(fw_hub_t *self, fw_channel_t *grown)
{
    fw_channel_t *channel = grown ? grown : fw_registry_at(self->channels, 0);
    size_t visits = 2 * fw_registry_count(self->channels) + 1;
    while (self->counts.rings_bytes > self->limits.rings_bytes_max && visits > 0) {
        size_t before = channel->sync.ring.bytes;
        /* The newest event stays: its readers may be about to get it. */
        if (channel->sync.ring.count > 1 && fw_ring_drop_oldest(&channel->sync.ring)) {
            self->counts.rings_bytes -= before - channel->sync.ring.bytes;
            continue;
        }
        if (self->trimmed >= fw_registry_count(self->channels))
            self->trimmed = 0;
        channel = fw_registry_at(self->channels, self->trimmed++);
        visits--;
    }
}

bool fw_hub_full(const fw_hub_t *self)
{
    return self->counts.rings_bytes > self->limits.rings_bytes_max;
}

void fw_hub_grew(fw_hub_t *self, size_t bytes)
{
    self->counts.rings_bytes += bytes;
    if (self->counts.rings_bytes > self->limits.rings_bytes_max)
        trim(self, NULL);
}

static void apply(fw_hub_t *self, fw_channel_t *channel, size_t bytes_before, unsigned changed)
{
    self->counts.rings_bytes += fw_sync_bytes(&channel->sync);
    self->counts.rings_bytes -= bytes_before;
    if (self->counts.rings_bytes > self->limits.rings_bytes_max)
        trim(self, channel);
    if (changed & FW_SYNC_RESET)
        reset_all(self, channel);
    if (changed & FW_SYNC_SETTLES)
        settle_all(self, channel);
    if (changed & FW_SYNC_GREW)
        fw_hub_touch(self, channel);
    update_needs(self, channel);
}

void fw_hub_event(fw_hub_t *self, fw_channel_t *channel, uint64_t epoch, fw_entry_t **entry_p)
{
    size_t before = fw_sync_bytes(&channel->sync);
    apply(self, channel, before, fw_sync_event(&channel->sync, &self->limits.ring, epoch, entry_p));
}

void fw_hub_doubt(fw_channel_t *channel, bool unconfirmed)
{
    channel->sync.unconfirmed = unconfirmed;
}

void fw_hub_position(fw_hub_t *self, fw_channel_t *channel, uint64_t request_id,
                     fw_position_t position)
{
    size_t before = fw_sync_bytes(&channel->sync);
    apply(self, channel, before,
          fw_sync_position(&channel->sync, &self->limits.ring, request_id, position));
}

void fw_hub_replayed(fw_hub_t *self, fw_channel_t *channel, const fw_sync_replay_t *replay)
{
    size_t before = fw_sync_bytes(&channel->sync);
    bool reset = replay->reset;
    bool complete = replay->complete;
    unsigned changed = fw_sync_replayed(&channel->sync, &self->limits.ring, replay);
    if (reset || changed & FW_SYNC_RESET)
        self->counts.replays_reset++;
    else if (complete)
        self->counts.replays_complete++;
    apply(self, channel, before, changed);
}

fw_channel_t *fw_hub_find(const fw_hub_t *self, fw_text_t channel)
{
    return fw_registry_find(self->channels, channel);
}

static fw_channel_t *open_channel(fw_hub_t *self, fw_text_t name)
{
    fw_channel_t *channel = fw_registry_find(self->channels, name);
    if (channel) {
        idle_remove(&self->idle, channel);
        return channel;
    }
    assert(fw_channel_kind(name) != FW_CHANNEL_INVALID);
    channel = fw_channel_new(name, ++self->last_serial);
    if (self->limits.delays)
        channel->delay_ms = fw_delays_find(self->limits.delays, name);
    fw_registry_add(self->channels, channel);
    self->counts.channels++;
    channel->fence = fw_topics_hold(self->topics, name);
    if (fw_topics_passed(self->topics, channel->fence))
        fw_sync_fenced(&channel->sync);
    update_needs(self, channel);
    return channel;
}

/* Asked again without a position it stays where it is; the answer says where. */
static void stay(fw_hub_t *self, fw_session_t *session, uint32_t index, fw_text_t request_id)
{
    session->subscriptions[index].recovered = false;
    if (session->state != FW_SESSION_OPEN)
        return;
    fw_session_say_subscribed(session, index, request_id);
    fw_hub_mark(self, session);
}

uint32_t fw_hub_join(fw_hub_t *self, fw_session_t *session, fw_text_t name,
                     const fw_position_t *position, fw_text_t request_id)
{
    fw_channel_t *channel = open_channel(self, name);
    int found = fw_session_find(session, channel);
    uint32_t index = (uint32_t)found;
    if (found < 0) {
        index = fw_session_join(session, channel, position, request_id);
        self->counts.subscriptions++;
        if (self->rooms)
            fw_rooms_joined(self->rooms, session, index);
    } else if (position || session->subscriptions[index].wish) {
        fw_session_rejoin(session, index, position, request_id);
    } else {
        stay(self, session, index, request_id);
    }
    settle(self, session, index);
    update_needs(self, channel);
    return index;
}

static void leave(fw_hub_t *self, fw_session_t *session, uint32_t index, bool on_purpose,
                  int64_t now_ms)
{
    fw_channel_t *channel = session->subscriptions[index].channel;
    if (self->rooms)
        fw_rooms_leaving(self->rooms, session, index, on_purpose);
    fw_session_leave(session, index);
    self->counts.subscriptions--;
    if (channel->subscribers_count > 0)
        return;
    channel->idle_until_ms = now_ms + self->limits.linger_ms;
    idle_add(&self->idle, channel);
}

int fw_hub_leave(fw_hub_t *self, fw_session_t *session, fw_text_t name, int64_t now_ms)
{
    fw_channel_t *channel = fw_registry_find(self->channels, name);
    int index = channel ? fw_session_find(session, channel) : -1;
    if (index < 0)
        return -ENOENT;
    leave(self, session, (uint32_t)index, true, now_ms);
    return 0;
}

void fw_hub_part(fw_hub_t *self, fw_session_t *session, int64_t now_ms)
{
    while (session->count > 0)
        leave(self, session, session->count - 1U, false, now_ms);
    unmark(self, session);
}

void fw_hub_await(fw_hub_t *self, fw_session_t *session)
{
    session->state = FW_SESSION_WAITING;
    if (fw_session_undecided(session))
        return;
    fw_session_say_welcome(session, self->limits.ping_ms, self->limits.reconnect_window_ms,
                           self->limits.degraded);
    session->state = FW_SESSION_OPEN;
    fw_hub_mark(self, session);
    for (uint32_t i = 0; i < session->count; i++) {
        settle(self, session, i);
        update_needs(self, session->subscriptions[i].channel);
    }
}

void fw_hub_link_lost(fw_hub_t *self)
{
    fw_topics_repeat(self->topics);
    for (size_t i = 0; i < fw_registry_count(self->channels); i++) {
        fw_channel_t *channel = fw_registry_at(self->channels, i);
        size_t before = fw_sync_bytes(&channel->sync);
        channel->fence = fw_topics_fence_of(self->topics, fw_channel_name(channel));
        fw_sync_link_lost(&channel->sync);
        apply(self, channel, before, 0);
    }
}

void fw_hub_suspect(fw_hub_t *self)
{
    fw_topics_refence(self->topics);
    fw_hub_audit(self, 1);
}

void fw_hub_audit(fw_hub_t *self, uint32_t share)
{
    size_t count = fw_registry_count(self->channels);
    /* What is left of a division is owed to the next call, so that one channel is not always due.
     */
    self->audit_owed += count;
    size_t visits = self->audit_owed / share;
    self->audit_owed -= visits * share;
    for (visits = visits < count ? visits : count; visits > 0; visits--) {
        if (self->audited >= count)
            self->audited = 0;
        fw_channel_t *channel = fw_registry_at(self->channels, self->audited++);
        fw_sync_suspect(&channel->sync);
        update_needs(self, channel);
    }
}

bool fw_hub_next_change(fw_hub_t *self, fw_topic_change_t *ret_change)
{
    return fw_topics_next_change(self->topics, ret_change->topic, &ret_change->subscribe);
}

uint32_t fw_hub_next_fence(fw_hub_t *self)
{
    return fw_topics_next_fence(self->topics);
}

void fw_hub_fenced(fw_hub_t *self, uint32_t fence)
{
    bool all = fw_topics_fenced(self->topics, fence);
    for (fw_channel_t *channel = self->needy.first; channel; channel = channel->needy.next)
        if (fw_topics_passed(self->topics, channel->fence))
            fw_sync_fenced(&channel->sync);
    self->wants = true;
    /* The first fence of new links: what was released between the old ones and these may be
     * missing. */
    if (all)
        fw_hub_audit(self, 1);
}

bool fw_hub_wants(fw_hub_t *self)
{
    bool wants = self->wants;
    self->wants = false;
    return wants;
}

void fw_hub_want(fw_hub_t *self)
{
    self->wants = true;
}

fw_channel_t *fw_hub_first_needy(fw_hub_t *self)
{
    return self->needy.first;
}

fw_channel_t *fw_hub_next_needy(fw_hub_t *self, fw_channel_t *channel)
{
    (void)self;
    return channel->needy.next;
}

/* A fence that stays away would keep its channels from ever becoming live. */
static void expire_fence(fw_hub_t *self, int64_t now_ms)
{
    uint32_t fence = fw_topics_under_way(self->topics);
    if (fence != self->fence_seen) {
        self->fence_seen = fence;
        self->fence_seen_ms = now_ms;
    } else if (fence > 0 && now_ms - self->fence_seen_ms >= FW_SYNC_ANSWER_MS) {
        fw_topics_lost(self->topics);
        self->wants = true;
    }
}

void fw_hub_tick(fw_hub_t *self, int64_t now_ms)
{
    expire_fence(self, now_ms);
    fw_channel_t *next = NULL;
    for (fw_channel_t *channel = self->needy.first; channel; channel = next) {
        next = channel->needy.next;
        (void)fw_sync_expire(&channel->sync, now_ms);
        update_needs(self, channel);
    }
    while (self->idle.first && self->idle.first->idle_until_ms <= now_ms)
        forget_channel(self, self->idle.first);
}
