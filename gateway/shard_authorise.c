/* shard_authorise.c - see shard_authorise.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/shard_authorise.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/authoriser.h"
#include "gateway/dialogue_grants.h"
#include "gateway/shard_sessions.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/hash.h"
#include "runtime/socket.h"

enum {
    ASKING_MAX = 4096,           /* questions that wait; beyond: it cannot be told */
    KEPT_MESSAGES_MAX = 64,      /* of a session that waits; beyond: closed with 4290 */
    KEPT_BYTES_MAX = 256 * 1024, /* likewise */
    CONCURRENCY_MAX = FW_AUTHORISE_CONCURRENCY_MAX,
    GRANTS = FW_GRANT_UNKNOWN + 1,
};

typedef struct kept {
    struct kept *prev, *next;
    size_t size;
    uint8_t bytes[];
} kept_t;

/* A session that waits. */
typedef struct {
    UT_hash_handle hh;
    fw_session_t *session;
    kept_t *messages; /* the first is the one that waits, unless channels do */
    size_t messages_count;
    size_t bytes;
    fw_client_subscription_t *channels; /* of one that does not greet; NULL = none */
    size_t channels_count;
    size_t own;
    char *names;
} parked_t;

struct fw_shard_authorise {
    fw_authoriser_args_t args;
    fw_actor_t *actors[CONCURRENCY_MAX];
    fw_peer_t idle[CONCURRENCY_MAX];
    size_t idle_count;
    zsock_t *socket;
    fw_wakeup_t *wakeup;
    fw_grants_t *grants;
    struct fw_dialogue_grants hooks;
    parked_t *parked;
    fw_grants_counts_t reported;
    size_t waiting_reported;
    struct {
        fw_counter_t *answers[GRANTS], *hits, *full, *withdrawn;
        fw_gauge_t *waiting, *entries;
        fw_histogram_t *took;
    } metrics;
};

/* ------ sessions that wait */

static parked_t *find(const fw_shard_t *self, const fw_session_t *session)
{
    parked_t *parked = NULL;
    if (self->authorise)
        HASH_FIND_PTR(self->authorise->parked, &session, parked);
    return parked;
}

static parked_t *park(fw_shard_t *self, fw_session_t *session)
{
    parked_t *parked = find(self, session);
    if (parked)
        return parked;
    parked = fw_alloc(1, sizeof *parked);
    parked->session = session;
    HASH_ADD_PTR(self->authorise->parked, session, parked);
    return parked;
}

static void drop_channels(parked_t *parked)
{
    free(parked->channels);
    free(parked->names);
    parked->channels = NULL;
    parked->names = NULL;
}

static void drop_message(parked_t *parked)
{
    kept_t *kept = parked->messages;
    DL_DELETE(parked->messages, kept);
    parked->messages_count--;
    parked->bytes -= kept->size;
    explicit_bzero(kept->bytes, kept->size); /* it may hold a token */
    free(kept);
}

static void unpark(fw_shard_t *self, parked_t *parked)
{
    while (parked->messages)
        drop_message(parked);
    drop_channels(parked);
    HASH_DEL(self->authorise->parked, parked);
    free(parked);
}

/* False when there is too much of it. */
static bool keep(parked_t *parked, fw_bytes_t text)
{
    if (parked->messages_count == KEPT_MESSAGES_MAX || parked->bytes + text.size > KEPT_BYTES_MAX)
        return false;
    kept_t *kept = fw_alloc(1, sizeof *kept + text.size);
    kept->size = text.size;
    memcpy(kept->bytes, text.data, text.size);
    DL_APPEND(parked->messages, kept);
    parked->messages_count++;
    parked->bytes += text.size;
    return true;
}

bool fw_shard_authorise_keeps(fw_shard_t *self, fw_connection_t *connection, fw_bytes_t text)
{
    parked_t *parked = find(self, connection->session);
    if (!parked)
        return false;
    if (!keep(parked, text))
        fw_shard_close(self, connection,
                       (fw_close_t){FW_CLOSE_TOO_MANY, "too many messages while one waits"});
    return true;
}

void fw_shard_authorise_park(fw_shard_t *self, fw_connection_t *connection, fw_bytes_t text)
{
    if (!keep(park(self, connection->session), text))
        fw_shard_close(self, connection, (fw_close_t){FW_CLOSE_TOO_MANY, "message is too large"});
}

void fw_shard_authorise_part(fw_shard_t *self, fw_session_t *session)
{
    parked_t *parked = find(self, session);
    if (!parked)
        return;
    fw_grants_forget(self->authorise->grants, session);
    unpark(self, parked);
}

static fw_grant_t look(void *context, fw_session_t *session, fw_action_t action, fw_text_t channel)
{
    fw_shard_t *self = context;
    return fw_grants_look(self->authorise->grants, fw_session_user(session), channel, action,
                          session, fw_clock_ms());
}

static void hold(void *context, fw_session_t *session, const fw_client_subscription_t *channels,
                 size_t count, size_t own)
{
    fw_shard_t *self = context;
    parked_t *parked = park(self, session);
    size_t size = 0;
    if (parked->channels)
        return; /* it waits again */
    for (size_t i = 0; i < count; i++)
        size += channels[i].channel.size + 1;
    parked->channels = fw_alloc(count, sizeof *channels);
    parked->names = fw_alloc(1, size);
    parked->channels_count = count;
    parked->own = own;
    char *name = parked->names;
    for (size_t i = 0; i < count; i++) {
        parked->channels[i] = channels[i];
        memcpy(name, channels[i].channel.text, channels[i].channel.size);
        parked->channels[i].channel.text = name;
        name += channels[i].channel.size + 1;
    }
}

/* Enters the channels that were waited for. */
static void enter(fw_shard_t *self, parked_t *parked)
{
    fw_session_t *session = parked->session;
    fw_connection_t *connection = session->connection;
    fw_close_t refused = fw_dialogue_enter(&self->dialogue, session, parked->channels,
                                           parked->channels_count, parked->own);
    if (refused.code != FW_CLOSE_NONE) {
        fw_shard_close(self, connection, refused);
        return;
    }
    if (session->state == FW_SESSION_GREETING)
        return; /* it waits for something else now */
    drop_channels(parked);
    fw_ws_schedule(self, session, FW_PHASE_PING, fw_clock_ms());
}

/* Something that the session waited for has been answered. */
static void answered(void *context, void *waiter)
{
    fw_shard_t *self = context;
    parked_t *parked = find(self, waiter);
    if (parked && parked->channels)
        enter(self, parked);
    while ((parked = find(self, waiter)) != NULL && !parked->channels) {
        fw_connection_t *connection = parked->session->connection;
        if (!parked->messages) {
            unpark(self, parked);
            return;
        }
        kept_t *kept = parked->messages;
        bool waits = fw_ws_obey(self, connection, (fw_bytes_t){kept->bytes, kept->size});
        parked = find(self, waiter); /* it may have ended the session */
        if (!parked || waits)
            return;
        drop_message(parked);
    }
}

/* ------ what was allowed, and is used */

static int place_of(const fw_shard_t *self, const fw_session_t *session,
                    const fw_grant_question_t *question)
{
    const fw_channel_t *channel = fw_hub_find(self->hub, question->channel);
    int index = channel ? fw_session_find(session, channel) : -1;
    if (index < 0 || question->action == FW_ACTION_LISTEN)
        return index;
    return question->action == FW_ACTION_PRESENCE && session->subscriptions[index].watches ? index
                                                                                           : -1;
}

static bool used(void *context, const fw_grant_question_t *question)
{
    const fw_shard_t *self = context;
    for (const fw_session_t *session = fw_shard_sessions_of(self, question->user); session;
         session = fw_users_next(session))
        if (place_of(self, session, question) >= 0)
            return true;
    return false;
}

static void withdraw(fw_shard_t *self, fw_session_t *session, uint32_t index,
                     const fw_grant_question_t *question)
{
    if (question->action == FW_ACTION_PRESENCE) {
        fw_rooms_watch(self->dialogue.rooms, session, index, false);
        fw_dialogue_refuse_grant(&self->dialogue, session, FW_TEXT_NONE, FW_GRANT_NO, "presence",
                                 question->channel);
        return;
    }
    fw_session_say_unsubscribed(session, FW_TEXT_NONE, question->channel, "forbidden");
    int result = fw_hub_leave(self->hub, session, question->channel, fw_clock_ms());
    assert(result == 0);
    (void)result;
    fw_hub_mark(self->hub, session);
    if (session->state == FW_SESSION_WAITING)
        fw_hub_await(self->hub, session);
}

static void withdrawn(void *context, const fw_grant_question_t *question)
{
    fw_shard_t *self = context;
    for (fw_session_t *session = fw_shard_sessions_of(self, question->user); session;
         session = fw_users_next(session)) {
        int index = place_of(self, session, question);
        if (index >= 0)
            withdraw(self, session, (uint32_t)index, question);
    }
    fw_counter_add(self->authorise->metrics.withdrawn, 1);
}

/* ------ the actors */

static void put_question(fw_shard_authorise_t *authorise, const fw_grant_question_t *question)
{
    const fw_peer_t *peer = &authorise->idle[--authorise->idle_count];
    char *body = fw_authorise_body(question);
    size_t size = sizeof question->number + strlen(body);
    uint8_t *frame = fw_alloc(1, size);
    memcpy(frame, &question->number, sizeof question->number);
    memcpy(frame + sizeof question->number, body, strlen(body));
    int result = fw_socket_send_to(authorise->socket, peer, (fw_bytes_t){frame, size});
    if (result != 0)
        fw_grants_answer(authorise->grants, question->number, FW_GRANT_UNKNOWN, 0, fw_clock_ms());
    free(frame);
    free(body);
}

static void take_answer(fw_shard_authorise_t *authorise, const fw_peer_t *peer, fw_bytes_t frame)
{
    fw_grant_answer_t answer;
    assert(frame.size == sizeof answer); /* of an actor of ours */
    memcpy(&answer, frame.data, sizeof answer);
    assert(authorise->idle_count < CONCURRENCY_MAX);
    authorise->idle[authorise->idle_count++] = *peer;
    if (answer.number == 0)
        return;
    assert(answer.grant < GRANTS);
    fw_counter_add(authorise->metrics.answers[answer.grant], 1);
    fw_histogram_observe_us(authorise->metrics.took, answer.took_us);
    fw_grants_answer(authorise->grants, answer.number, (fw_grant_t)answer.grant, answer.ttl_ms,
                     fw_clock_ms());
}

bool fw_shard_authorise_turn(fw_shard_t *self)
{
    fw_shard_authorise_t *authorise = self->authorise;
    fw_grant_question_t question;
    fw_peer_t peer;
    zmq_msg_t frame;
    bool more = false;
    if (!authorise)
        return false;
    (void)zmq_msg_init(&frame);
    while (fw_socket_receive_from(authorise->socket, &peer, &frame) == 0) {
        take_answer(authorise, &peer, fw_socket_bytes(&frame));
        more = true; /* an answer may have made new questions */
    }
    (void)zmq_msg_close(&frame);
    while (authorise->idle_count > 0 && fw_grants_next(authorise->grants, &question)) {
        put_question(authorise, &question);
        more = true;
    }
    return more;
}

void fw_shard_authorise_tick(fw_shard_t *self)
{
    fw_shard_authorise_t *authorise = self->authorise;
    if (!authorise)
        return;
    fw_grants_tick(authorise->grants, fw_clock_ms());
    const fw_grants_counts_t *counts = fw_grants_counts(authorise->grants);
    fw_grants_counts_t *old = &authorise->reported;
    size_t waiting = HASH_COUNT(authorise->parked);
    fw_counter_add(authorise->metrics.hits, counts->hits - old->hits);
    fw_counter_add(authorise->metrics.full, counts->full - old->full);
    fw_gauge_add(authorise->metrics.entries, (int64_t)(counts->entries - old->entries));
    fw_gauge_add(authorise->metrics.waiting, (int64_t)(waiting - authorise->waiting_reported));
    authorise->waiting_reported = waiting;
    *old = *counts;
}

/* ------ life */

static void make_metrics(fw_shard_authorise_t *authorise, fw_metrics_t *m)
{
    const char *name = "freshwire_gateway_authorise_answers_total";
    const char *help = "Answers of the backend about rooms; none is a failure of any kind.";
    authorise->metrics.answers[FW_GRANT_YES] =
        fw_metrics_counter(m, name, help, "answer=\"allowed\"");
    authorise->metrics.answers[FW_GRANT_NO] =
        fw_metrics_counter(m, name, help, "answer=\"refused\"");
    authorise->metrics.answers[FW_GRANT_UNKNOWN] =
        fw_metrics_counter(m, name, help, "answer=\"none\"");
    authorise->metrics.hits =
        fw_metrics_counter(m, "freshwire_gateway_authorise_remembered_total",
                           "Questions about rooms that were answered from memory.", "");
    authorise->metrics.full = fw_metrics_counter(
        m, "freshwire_gateway_authorise_full_total",
        "Questions about rooms that were not asked because too many wait or are remembered.", "");
    authorise->metrics.withdrawn =
        fw_metrics_counter(m, "freshwire_gateway_authorise_withdrawn_total",
                           "What the backend had allowed and does not allow any more.", "");
    authorise->metrics.waiting =
        fw_metrics_gauge(m, "freshwire_gateway_authorise_waiting",
                         "Sessions that wait for the backend's answer about a room.", "");
    authorise->metrics.entries = fw_metrics_gauge(m, "freshwire_gateway_authorise_entries",
                                                  "Answers about rooms that are remembered.", "");
    authorise->metrics.took =
        fw_metrics_histogram(m, "freshwire_gateway_authorise_seconds",
                             "How long the backend took to answer about a room.", "");
}

static int start_actors(fw_shard_t *self, fw_shard_authorise_t *authorise)
{
    uint64_t number = fw_random_next(&self->random);
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    (void)snprintf(authorise->args.endpoint, sizeof authorise->args.endpoint,
                   "inproc://freshwire-authorise-%016" PRIx64, number);
    authorise->args.config = self->config->authorise;
    int result = fw_socket_open(&settings, authorise->args.endpoint, &authorise->socket);
    if (result == 0)
        result = fw_wakeup_new(&self->loop, authorise->socket, &authorise->wakeup);
    for (uint32_t i = 0; result == 0 && i < self->config->authorise.concurrency; i++)
        result = fw_actor_start("authoriser", fw_authoriser_run, &authorise->args,
                                &authorise->actors[i]);
    return result;
}

int fw_shard_authorise_begin(fw_shard_t *self)
{
    const fw_authorise_config_t *config = &self->config->authorise;
    if (!*config->url) {
        fw_shard_authorise_t nothing;
        make_metrics(&nothing, self->args->metrics); /* all 0, as they should be seen to be */
        return 0;
    }
    fw_shard_authorise_t *authorise = fw_alloc(1, sizeof *authorise);
    fw_grants_limits_t limits = {config->remembered_max, ASKING_MAX};
    fw_grants_output_t output = {self, answered, used, withdrawn};
    authorise->grants = fw_grants_new(&limits, &output, fw_clock_ms());
    authorise->hooks = (struct fw_dialogue_grants){self, look, hold};
    make_metrics(authorise, self->args->metrics);
    self->authorise = authorise;
    self->dialogue.grants = &authorise->hooks;
    return start_actors(self, authorise);
}

void fw_shard_authorise_close(fw_shard_t *self)
{
    fw_shard_authorise_t *authorise = self->authorise;
    if (!authorise)
        return;
    for (size_t i = 0; i < CONCURRENCY_MAX; i++)
        fw_actor_stop(&authorise->actors[i]);
    fw_wakeup_destroy(&authorise->wakeup);
    zsock_destroy(&authorise->socket);
}

void fw_shard_authorise_end(fw_shard_t *self)
{
    fw_shard_authorise_t *authorise = self->authorise;
    if (!authorise)
        return;
    while (authorise->parked)
        unpark(self, authorise->parked);
    fw_grants_destroy(&authorise->grants);
    fw_gauge_add(authorise->metrics.entries, -(int64_t)authorise->reported.entries);
    fw_gauge_add(authorise->metrics.waiting, -(int64_t)authorise->waiting_reported);
    free(authorise);
    self->authorise = NULL;
}
