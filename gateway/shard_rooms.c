/* shard_rooms.c - see shard_rooms.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/shard_rooms.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/hash.h"

enum {
    KEPT_MAX = FW_POSTS_MAX / 2, /* events of clients that wait for their acknowledgement; beyond:
                                    fw.error */
};

/* An event of a client that waits for its acknowledgement. */
typedef struct kept {
    struct kept *prev, *next;
    fw_session_t *session;
    uint64_t number; /* of the publisher */
    char *channel;
    uint8_t request_id_size;
    char request_id[];
} kept_t;

struct fw_shard_rooms {
    fw_rooms_t *rooms;
    struct fw_client_publish publish;
    kept_t *kept;
    uint32_t kept_count;
    fw_rooms_counts_t reported;
    fw_roster_counts_t roster_reported;
    struct {
        fw_counter_t *passed, *kept, *failed, *changes, *events, *lists, *dropped, *gaps;
        fw_gauge_t *bytes, *users, *members;
    } metrics;
};

static int pass(void *context, const fw_event_t *event)
{
    fw_shard_t *self = context;
    fw_event_t timed = *event;
    timed.ts = fw_clock_wall_ms();
    int result = fw_uplink_pass(self->uplink, &timed);
    fw_counter_add(result == 0 ? self->rooms->metrics.passed : self->rooms->metrics.failed, 1);
    return result;
}

static int keep_event(void *context, fw_session_t *session, const fw_event_t *event,
                      fw_text_t request_id)
{
    fw_shard_t *self = context;
    fw_shard_rooms_t *rooms = self->rooms;
    fw_refusal_t refusal;
    fw_event_t timed = *event;
    uint64_t number = 0;
    timed.ts = fw_clock_wall_ms();
    if (rooms->kept_count >= KEPT_MAX)
        return -EAGAIN;
    int result = fw_publisher_send(fw_uplink_publisher(self->uplink), &timed, FW_ACK_ACCEPTED,
                                   fw_clock_ms(), &number, &refusal);
    if (result != 0)
        return result;
    kept_t *kept = fw_alloc(1, sizeof *kept + request_id.size + 1);
    kept->session = session;
    kept->number = number;
    kept->channel = fw_copy_text(event->audience[0].text, event->audience[0].size);
    kept->request_id_size = (uint8_t)request_id.size;
    memcpy(kept->request_id, request_id.text, request_id.size);
    DL_APPEND(rooms->kept, kept);
    rooms->kept_count++;
    return 0;
}

static void forget(fw_shard_rooms_t *rooms, kept_t *kept)
{
    DL_DELETE(rooms->kept, kept);
    rooms->kept_count--;
    free(kept->channel);
    free(kept);
}

static void make_metrics(fw_shard_rooms_t *rooms, fw_metrics_t *m)
{
    const char *events = "Events of clients, by outcome.";
    const char *notes = "Messages about rooms that nobody keeps, made once for all sessions of a "
                        "shard, by kind.";
    const char *events_name = "freshwire_gateway_client_events_total";
    const char *notes_name = "freshwire_gateway_notes_total";
    rooms->metrics.passed = fw_metrics_counter(m, events_name, events, "outcome=\"passed\"");
    rooms->metrics.kept = fw_metrics_counter(m, events_name, events, "outcome=\"kept\"");
    rooms->metrics.failed = fw_metrics_counter(m, events_name, events, "outcome=\"failed\"");
    rooms->metrics.changes = fw_metrics_counter(m, notes_name, notes, "kind=\"presence\"");
    rooms->metrics.events = fw_metrics_counter(m, notes_name, notes, "kind=\"event\"");
    rooms->metrics.lists = fw_metrics_counter(m, notes_name, notes, "kind=\"list\"");
    rooms->metrics.dropped = fw_metrics_counter(m, notes_name, notes, "kind=\"dropped\"");
    rooms->metrics.gaps = fw_metrics_counter(m, "freshwire_gateway_presence_gaps_total",
                                             "Changes of presence that were missing.", "");
    rooms->metrics.bytes =
        fw_metrics_gauge(m, "freshwire_gateway_notes_bytes", "Memory of those messages.", "");
    rooms->metrics.users = fw_metrics_gauge(m, "freshwire_gateway_presence_users",
                                            "Users with sessions here, once per room.", "");
    rooms->metrics.members = fw_metrics_gauge(m, "freshwire_gateway_presence_members",
                                              "Users in lists of rooms that are watched here.", "");
}

void fw_shard_rooms_reload(fw_shard_t *self)
{
    const fw_gateway_config_t *config = self->config;
    self->rooms->publish = (struct fw_client_publish){
        .per_second = config->client_publish_per_second,
        .bytes_max = config->client_publish_bytes_max,
        .keep = config->client_publish_keep,
        .types = config->client_publish_types,
        .types_count = config->client_publish_types_count,
        .context = self,
        .pass = pass,
        .keep_event = keep_event,
    };
}

void fw_shard_rooms_begin(fw_shard_t *self)
{
    fw_shard_rooms_t *rooms = fw_alloc(1, sizeof *rooms);
    make_metrics(rooms, self->args->metrics);
    rooms->rooms = fw_rooms_new(self->hub);
    fw_hub_set_rooms(self->hub, rooms->rooms);
    self->dialogue.rooms = rooms->rooms;
    self->dialogue.publish = &rooms->publish;
    self->rooms = rooms;
    fw_shard_rooms_reload(self);
}

fw_rooms_t *fw_shard_rooms_of(const fw_shard_t *self)
{
    return self->rooms->rooms;
}

void fw_shard_rooms_part(fw_shard_t *self, fw_session_t *session)
{
    kept_t *kept, *next;
    DL_FOREACH_SAFE(self->rooms->kept, kept, next)
    {
        if (kept->session == session)
            forget(self->rooms, kept);
    }
}

static void answer(fw_shard_t *self, const kept_t *kept, int error, const fw_publish_ack_t *ack)
{
    fw_text_t request_id = {kept->request_id, kept->request_id_size};
    bool done =
        error == 0 && ack && (ack->status == FW_PUBLISH_OK || ack->status == FW_PUBLISH_DUPLICATE);
    bool refused = error == 0 && ack && ack->status == FW_PUBLISH_REJECTED;
    fw_server_error_t failure = {
        .request_id = request_id,
        .code = refused ? FW_CLOSE_FORBIDDEN : FW_CLOSE_TOO_MANY,
        .reason = refused ? "the broker refused the event" : "not published",
        .temporary = !refused,
        .action = "publish",
        .channel = fw_text(kept->channel),
    };
    fw_counter_add(done ? self->rooms->metrics.kept : self->rooms->metrics.failed, 1);
    if (!done)
        fw_session_say_error(kept->session, &failure);
    else if (request_id.size > 0)
        fw_session_say_published(kept->session, request_id);
    fw_hub_mark(self->hub, kept->session);
}

void fw_shard_rooms_published(fw_shard_t *self, uint64_t request_id, int error,
                              const fw_publish_ack_t *ack)
{
    kept_t *kept;
    DL_FOREACH(self->rooms->kept, kept)
    {
        if (kept->number != request_id)
            continue;
        answer(self, kept, error, ack);
        forget(self->rooms, kept);
        return;
    }
}

static void report(fw_shard_rooms_t *rooms)
{
    const fw_rooms_counts_t *counts = fw_rooms_counts(rooms->rooms);
    const fw_roster_counts_t *roster = fw_roster_counts(fw_rooms_roster(rooms->rooms));
    fw_rooms_counts_t *old = &rooms->reported;
    fw_roster_counts_t *roster_old = &rooms->roster_reported;
    fw_counter_add(rooms->metrics.changes, counts->changes - old->changes);
    fw_counter_add(rooms->metrics.events, counts->events - old->events);
    fw_counter_add(rooms->metrics.lists, counts->lists - old->lists);
    fw_counter_add(rooms->metrics.dropped, counts->dropped - old->dropped);
    fw_counter_add(rooms->metrics.gaps, roster->gaps - roster_old->gaps);
    fw_gauge_add(rooms->metrics.bytes, (int64_t)(counts->notes_bytes - old->notes_bytes));
    fw_gauge_add(rooms->metrics.users, (int64_t)(roster->users - roster_old->users));
    fw_gauge_add(rooms->metrics.members, (int64_t)(roster->members - roster_old->members));
    *old = *counts;
    *roster_old = *roster;
}

void fw_shard_rooms_tick(fw_shard_t *self)
{
    fw_rooms_tick(self->rooms->rooms, fw_clock_us());
    report(self->rooms);
}

void fw_shard_rooms_end(fw_shard_t *self)
{
    fw_shard_rooms_t *rooms = self->rooms;
    if (!rooms)
        return;
    while (rooms->kept)
        forget(rooms, rooms->kept);
    report(rooms);
    fw_rooms_destroy(&rooms->rooms);
    free(rooms);
    self->rooms = NULL;
}
