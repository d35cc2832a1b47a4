/* recovery.c - gateways ask where channels stand and what they missed.   SPDX-License-Identifier:
 * MPL-2.0 */
#include <errno.h>

#include "broker/rooms.h"
#include "broker/sessions.h"
#include "proto/channel.h"
#include "runtime/alloc.h"
#include "runtime/hash.h"

enum {
    REPLAY_BYTES_MAX = 4 * 1024 * 1024, /* of one answer; gateways accept 8 MiB */
    SILENCE_US_MAX = 10 * 1000 * 1000,
    WAITING_MAX = 65536, /* questions; a gateway repeats one after three seconds */
    BURST_PART = 4,      /* of a second's replay bytes may go out at once */
    SECOND_US = 1000000,
    TURN_US = 5000, /* between two looks at replays that wait */
};

/* One question that the store answers, maybe later. */
struct fw_broker_question {
    fw_broker_question_t *prev, *next; /* while it waits */
    fw_broker_loop_t *loop;
    fw_peer_t gateway;
    uint64_t request_id;
    fw_store_read_t read;
    fw_store_positions_t positions;
    fw_text_t *channels;
    char *texts;
    bool replays; /* else it asks for positions */
};

typedef fw_broker_question_t question_t;

static question_t *question_new(fw_broker_loop_t *self, const fw_peer_t *gateway,
                                uint64_t request_id, const fw_text_t *channels, size_t count)
{
    question_t *question = fw_alloc(1, sizeof *question);
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += channels[i].size + 1;
    question->loop = self;
    question->gateway = *gateway;
    question->request_id = request_id;
    question->channels = fw_alloc(count, sizeof(fw_text_t));
    question->texts = fw_alloc(1, size);
    char *at = question->texts;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, channels[i].text, channels[i].size);
        question->channels[i] = (fw_text_t){at, channels[i].size};
        at += channels[i].size + 1;
    }
    return question;
}

static void question_free(question_t *question)
{
    free(question->read.ret_events);
    free(question->positions.ret_visible);
    free(question->channels);
    free(question->texts);
    free(question);
}

static void refuse(fw_broker_loop_t *self, const fw_peer_t *gateway, const char *reason,
                   const fw_refusal_t *refusal)
{
    fw_message_t message = {.kind = FW_MESSAGE_REFUSAL, .refusal = *refusal};
    fw_broker_refused(self, FW_DOOR_CONTROL, reason, refusal);
    fw_broker_reply(self, self->control, FW_LINK_GATEWAY_DOWN, gateway, &message);
}

/* Somebody whom this answer resets must bypass caches. */
static bool resets_unconfirmed(const fw_broker_loop_t *self)
{
    return fw_core_cache_state(self->core, self->now_us) != FW_CACHE_STATE_SETTLED;
}

static void put(question_t *question)
{
    fw_store_t *store = fw_core_store(question->loop->core);
    if (question->replays)
        fw_store_read(store, &question->read);
    else
        fw_store_positions(store, &question->positions);
}

static bool must_wait(const fw_broker_loop_t *self, const question_t *question)
{
    if (fw_core_cache_state(self->core, self->now_us) == FW_CACHE_STATE_WAIT)
        return true;
    return question->replays && self->replay_tokens <= 0;
}

/* Replays keep their order, so that nobody waits for ever. */
static void ask(question_t *question)
{
    fw_broker_loop_t *self = question->loop;
    bool behind = question->replays && self->waiting;
    if (!behind && !must_wait(self, question)) {
        put(question);
        return;
    }
    if (self->waiting_count == WAITING_MAX) {
        fw_counter_add(self->metrics.questions_dropped, 1);
        question_free(question);
        return;
    }
    DL_APPEND(self->waiting, question);
    self->waiting_count++;
    fw_gauge_set(self->metrics.questions_waiting, (int64_t)self->waiting_count);
}

static void refill(fw_broker_loop_t *self)
{
    int64_t rate = (int64_t)self->config.replay_bytes_per_second;
    int64_t passed_us = self->now_us - self->replay_filled_us;
    int64_t most = rate / BURST_PART;
    self->replay_filled_us = self->now_us;
    if (passed_us > SECOND_US)
        passed_us = SECOND_US;
    self->replay_tokens += rate * passed_us / SECOND_US;
    if (self->replay_tokens > most)
        self->replay_tokens = most;
}

void fw_broker_answer_waiting(fw_broker_loop_t *self)
{
    refill(self);
    while (self->waiting && !must_wait(self, self->waiting)) {
        question_t *question = self->waiting;
        DL_DELETE(self->waiting, question);
        self->waiting_count--;
        put(question);
    }
    fw_gauge_set(self->metrics.questions_waiting, (int64_t)self->waiting_count);
    fw_broker_sessions_tick(self);
}

int64_t fw_broker_next_answer_us(const fw_broker_loop_t *self)
{
    int64_t sessions_us = fw_broker_sessions_next_us(self);
    if (!self->waiting)
        return sessions_us;
    /* While the cache is being opened a worker's answer wakes us, or the time-out, soon enough. */
    bool opening = fw_core_cache_state(self->core, self->now_us) == FW_CACHE_STATE_WAIT;
    int64_t answer_us = self->now_us + (opening ? 10 * TURN_US : TURN_US);
    return answer_us < sessions_us ? answer_us : sessions_us;
}

static void on_located(void *context, fw_store_positions_t *positions)
{
    question_t *question = context;
    fw_channel_position_t list[FW_POSITIONS_MAX];
    for (size_t i = 0; i < positions->channels_count; i++)
        list[i] = (fw_channel_position_t){positions->channels[i], positions->ret_visible[i]};
    fw_message_t message = {.kind = FW_MESSAGE_POSITIONS_REPLY,
                            .positions_reply = {question->request_id, list,
                                                positions->channels_count,
                                                resets_unconfirmed(question->loop)}};
    if (positions->result == 0)
        fw_broker_reply(question->loop, question->loop->control, FW_LINK_GATEWAY_DOWN,
                        &question->gateway, &message);
    question_free(question);
}

static void on_positions(fw_broker_loop_t *self, const fw_peer_t *gateway,
                         const fw_positions_request_t *request)
{
    for (size_t i = 0; i < request->channels_count; i++) {
        if (fw_channel_kind(request->channels[i]) == FW_CHANNEL_INVALID) {
            fw_refusal_t refusal = {.reason = "is not a channel"};
            (void)snprintf(refusal.field, sizeof refusal.field, "positions.channels[%zu]", i);
            refuse(self, gateway, "rule", &refusal);
            return;
        }
    }
    question_t *question = question_new(self, gateway, request->request_id, request->channels,
                                        request->channels_count);
    fw_counter_add(self->metrics.positions, request->channels_count);
    question->positions = (fw_store_positions_t){
        .channels = question->channels,
        .channels_count = request->channels_count,
        .ret_visible = fw_alloc(request->channels_count, sizeof(fw_position_t)),
        .answer = on_located,
        .context = question,
    };
    ask(question);
}

static void on_read(void *context, fw_store_read_t *read)
{
    question_t *question = context;
    fw_broker_loop_t *self = question->loop;
    fw_delivery_t deliveries[FW_REPLAY_EVENTS_MAX];
    size_t bytes = 0;
    size_t count = 0;
    fw_replay_status_t status = read->ret_status;
    for (; count < read->ret_count; count++) {
        const fw_store_event_t *event = &read->ret_events[count];
        bytes += fw_blob_bytes(event->publication).size;
        if (count > 0 && bytes > REPLAY_BYTES_MAX) {
            status = FW_REPLAY_MORE;
            break;
        }
        deliveries[count] = (fw_delivery_t){.channel = read->channel,
                                            .position = event->position,
                                            .fresh = event->fresh,
                                            .unconfirmed = event->unconfirmed,
                                            .publication = fw_blob_bytes(event->publication)};
    }
    fw_message_t message = {.kind = FW_MESSAGE_REPLAY_REPLY,
                            .replay_reply = {question->request_id, read->channel, status,
                                             read->ret_visible, deliveries, count,
                                             resets_unconfirmed(self)}};
    if (read->result == 0) {
        fw_counter_add(self->metrics.replays[status], 1);
        self->replay_tokens -= (int64_t)bytes;
        fw_broker_reply(self, self->control, FW_LINK_GATEWAY_DOWN, &question->gateway, &message);
    }
    question_free(question);
}

static void on_replay(fw_broker_loop_t *self, const fw_peer_t *gateway,
                      const fw_replay_request_t *request)
{
    fw_refusal_t refusal = {.field = "replay.channel", .reason = "is not a channel"};
    size_t limit = request->limit;
    if (fw_channel_kind(request->channel) == FW_CHANNEL_INVALID) {
        refuse(self, gateway, "rule", &refusal);
        return;
    }
    if (limit == 0 || limit > FW_REPLAY_EVENTS_MAX)
        limit = FW_REPLAY_EVENTS_MAX;
    question_t *question = question_new(self, gateway, request->request_id, &request->channel, 1);
    question->read = (fw_store_read_t){
        .channel = question->channels[0],
        .since = request->since,
        .limit = limit,
        .ret_events = fw_alloc(limit, sizeof(fw_store_event_t)),
        .answer = on_read,
        .context = question,
    };
    question->replays = true;
    ask(question);
}

static void forget(fw_broker_loop_t *self, fw_broker_gateway_t *gateway)
{
    HASH_DELETE(hh, self->gateways, gateway);
    free(gateway);
    fw_gauge_set(self->metrics.gateways, (int64_t)HASH_COUNT(self->gateways));
}

static fw_broker_gateway_t *find(fw_broker_loop_t *self, const fw_peer_t *peer)
{
    fw_broker_gateway_t *gateway;
    HASH_FIND(hh, self->gateways, peer->id, peer->size, gateway);
    return gateway;
}

fw_broker_gateway_t *fw_broker_gateway_of(fw_broker_loop_t *self,
                                          const uint8_t incarnation[FW_INCARNATION_SIZE])
{
    fw_broker_gateway_t *found = NULL;
    /* One that came back over another connection is there twice: the later one counts. */
    for (fw_broker_gateway_t *gateway = self->gateways; gateway; gateway = gateway->hh.next)
        if (memcmp(gateway->incarnation, incarnation, FW_INCARNATION_SIZE) == 0)
            found = gateway;
    return found;
}

static void on_hello(fw_broker_loop_t *self, const fw_peer_t *peer, const fw_hello_t *hello)
{
    fw_broker_gateway_t *gateway = find(self, peer);
    if (!fw_broker_understands(self, FW_DOOR_CONTROL, hello, peer))
        return;
    if (!gateway) {
        gateway = fw_alloc(1, sizeof *gateway);
        gateway->peer = *peer;
        memcpy(gateway->incarnation, hello->incarnation.data, FW_INCARNATION_SIZE);
        HASH_ADD_KEYPTR(hh, self->gateways, gateway->peer.id, gateway->peer.size, gateway);
        fw_gauge_set(self->metrics.gateways, (int64_t)HASH_COUNT(self->gateways));
        fw_log(FW_LOG_INFO, "gateway shard joined", FW_KV_TEXT("gateway", hello->name.text));
    }
    gateway->takes_commands = hello->capacity > 0;
    gateway->seen_us = self->now_us;
    fw_broker_welcome(self, self->control, FW_LINK_GATEWAY_DOWN, peer);
}

/* Questions are answered whoever asks them: they change nothing. A ping is answered only after
 * hello, so that a gateway that we do not know finds out. */
void fw_broker_on_gateway(fw_broker_loop_t *self, const fw_peer_t *peer, fw_bytes_t frame)
{
    fw_message_t message;
    fw_refusal_t refusal;
    fw_broker_gateway_t *gateway = find(self, peer);
    int result = fw_codec_decode(self->decoder, FW_LINK_GATEWAY_UP, frame, &message, &refusal);
    if (result < 0) {
        refuse(self, peer, result == -EMSGSIZE ? "limit" : "malformed", &refusal);
        return;
    }
    if (gateway) {
        gateway->seen_us = self->now_us;
        fw_broker_rooms_heard(self, gateway, message.kind == FW_MESSAGE_PING);
    }
    if (fw_broker_rooms_take(self, peer, gateway, &message) ||
        fw_broker_sessions_take(self, peer, gateway, &message))
        return;
    if (message.kind == FW_MESSAGE_HELLO) {
        on_hello(self, peer, &message.hello);
    } else if (message.kind == FW_MESSAGE_POSITIONS_REQUEST) {
        on_positions(self, peer, &message.positions_request);
    } else if (message.kind == FW_MESSAGE_REPLAY_REQUEST) {
        on_replay(self, peer, &message.replay_request);
    } else if (message.kind == FW_MESSAGE_PING && gateway) {
        fw_message_t pong = {.kind = FW_MESSAGE_PONG, .number = message.number};
        fw_broker_reply(self, self->control, FW_LINK_GATEWAY_DOWN, peer, &pong);
    } else if (message.kind == FW_MESSAGE_GOODBYE && gateway) {
        fw_log(FW_LOG_INFO, "gateway shard left", FW_KV_TEXT("reason", message.goodbye.text));
        fw_broker_rooms_left(self, gateway);
        fw_broker_sessions_left(self, gateway);
        forget(self, gateway);
    }
}

void fw_broker_forget_silent_gateways(fw_broker_loop_t *self)
{
    fw_broker_gateway_t *gateway, *next;
    HASH_ITER(hh, self->gateways, gateway, next)
    {
        if (self->now_us - gateway->seen_us > SILENCE_US_MAX)
            forget(self, gateway);
    }
}

void fw_broker_goodbye_gateways(fw_broker_loop_t *self)
{
    fw_message_t goodbye = {.kind = FW_MESSAGE_GOODBYE, .goodbye = FW_TEXT("the broker stops")};
    for (fw_broker_gateway_t *gateway = self->gateways; gateway; gateway = gateway->hh.next)
        fw_broker_reply(self, self->control, FW_LINK_GATEWAY_DOWN, &gateway->peer, &goodbye);
}

void fw_broker_forget_gateways(fw_broker_loop_t *self)
{
    while (self->waiting) {
        question_t *question = self->waiting;
        DL_DELETE(self->waiting, question);
        question_free(question);
    }
    while (self->gateways)
        forget(self, self->gateways);
    fw_broker_sessions_end(self);
}
