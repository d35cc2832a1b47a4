/* SPDX-License-Identifier: MPL-2.0
 * Goal: the whole chain (publishers, broker, purge workers on a real Redis, gateway with two
 * shards, browsers) keeps every channel complete and in order. Method: 3 publishers send
 * acknowledged events to 20 channels, a quarter of them with a purge; 200 sessions read. Each
 * acknowledgement says which event got which offset; each session must see exactly the events of
 * its channels, each once, in offset order, and each the one that the acknowledgement named. */
#include <pthread.h>
#include <rhonabwy.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/broker.h"
#include "clients/c/publisher.h"
#include "gateway/gateway.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "runtime/signals.h"
#include "tests/support/many_sessions.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/test_token.h"
#include "workers/workers.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { EVENTS = 9999 };
#else
enum { EVENTS = 99999 };
#endif

enum {
    PUBLISHERS = 3,
    ROOMS = 10,
    USERS = 9,
    BROADCAST = ROOMS + USERS, /* index of the channel */
    CHANNELS = ROOMS + USERS + 1,
    SESSIONS = 200,
    DEADLINE_MS = 60000,
};

#define SECRET "a secret for tests only, at least 32 bytes"

typedef struct {
    fw_redis_fixture_t *redis;
    fw_broker_t *broker;
    fw_workers_t *workers;
    fw_gateway_t *gateway;
    fw_metrics_t *metrics;
    fw_health_t *health;
    fw_broker_endpoints_t at;
} chain_t;

typedef struct {
    char channel[16];
    uint32_t
        *number_at; /* by offset; filled in by acknowledgements, read after the publishers ended */
} channel_t;

typedef struct {
    const char *endpoint;
    uint32_t first; /* number of its first event; every third is its own */
    uint64_t seed;
    _Atomic size_t done; /* also read by the reader */
    size_t refused;
    uint32_t number_of[EVENTS + 16]; /* by request id */
    channel_t *channels;
} publisher_t;

typedef struct {
    uint64_t next[CHANNELS]; /* offset expected; 0: not subscribed */
} session_t;

typedef struct {
    session_t sessions[SESSIONS];
    uint32_t *seen[CHANNELS]; /* number by offset, as the first session saw it */
    channel_t *channels;
} readers_t;

static void start_chain(chain_t *chain)
{
    fw_broker_config_t broker = fw_broker_defaults();
    fw_workers_config_t workers = fw_workers_defaults();
    fw_gateway_config_t gateway = fw_gateway_defaults();
    chain->metrics = fw_metrics_new();
    chain->health = fw_health_new();
    chain->redis = fw_redis_fixture_start();
    broker.fire_endpoints = broker.publish_endpoints = broker.jobs_endpoints =
        broker.events_endpoints = broker.control_endpoints = "tcp://127.0.0.1:*";
    broker.history_events_max = EVENTS;
    broker.history_channel_bytes_max = 64 << 20;
    /* Slow machines under sanitizers: order is the subject here, not the time-out. */
    broker.barrier_first_ms = 20000;
    broker.barrier_timeout_ms = 50000;
    assert_int_equal(fw_broker_start(&broker, chain->metrics, chain->health, &chain->broker), 0);
    fw_broker_endpoints(chain->broker, &chain->at);
    workers.jobs_endpoint = chain->at.jobs;
    workers.redis_url = fw_redis_fixture_url(chain->redis);
    workers.actors = 2;
    assert_int_equal(fw_workers_start(&workers, chain->metrics, chain->health, &chain->workers), 0);
    gateway.listen = "127.0.0.1:0";
    gateway.events_endpoint = chain->at.events;
    gateway.control_endpoint = chain->at.control;
    gateway.publish_endpoint = chain->at.publish;
    gateway.shards = 2;
    gateway.tokens.secret = SECRET;
    gateway.drain_delay_ms = 0;
    gateway.drain_window_ms = 0;
    assert_int_equal(fw_gateway_start(&gateway, chain->metrics, chain->health, &chain->gateway), 0);
    int64_t deadline = fw_clock_ms() + DEADLINE_MS;
    while (!fw_health_ready(chain->health, fw_clock_ms())) {
        assert_true(fw_clock_ms() < deadline);
        (void)zmq_poll(NULL, 0, 10);
    }
}

static void stop_chain(chain_t *chain)
{
    fw_gateway_stop(&chain->gateway);
    fw_workers_stop(&chain->workers);
    fw_broker_stop(&chain->broker);
    fw_metrics_destroy(&chain->metrics);
    fw_health_destroy(&chain->health);
    fw_redis_fixture_stop(&chain->redis);
}

/* --- publishers */

static size_t channel_index(const char *name)
{
    if (name[0] == 'b')
        return BROADCAST;
    size_t number = strtoul(name + 5, NULL, 10);
    return name[0] == 'r' ? number : ROOMS + number;
}

static void on_done(void *context, uint64_t request_id, int error, const fw_publish_ack_t *ack)
{
    publisher_t *self = context;
    self->done++;
    if (error || ack->status != FW_PUBLISH_OK) {
        self->refused++;
        return;
    }
    for (size_t i = 0; i < ack->positions_count; i++) {
        size_t channel = channel_index(ack->positions[i].channel.text);
        uint64_t offset = ack->positions[i].position.offset;
        assert(offset <= EVENTS);
        self->channels[channel].number_at[offset] = self->number_of[request_id % (EVENTS + 16)];
    }
}

static int send_event(publisher_t *self, fw_publisher_t *publisher, fw_random_t *random,
                      uint32_t number)
{
    char data[32];
    uint64_t request_id;
    fw_refusal_t refusal;
    fw_text_t tags[] = {FW_TEXT("projects")};
    const channel_t *channel = &self->channels[fw_random_below(random, CHANNELS)];
    fw_text_t audience[] = {fw_text(channel->channel)};
    int size = snprintf(data, sizeof data, "{\"n\":%u}", number);
    fw_event_t event = {.id = FW_TEXT_NONE,
                        .type = FW_TEXT("numbered"),
                        .data = {.kind = FW_PAYLOAD_JSON,
                                 .bytes = {(const uint8_t *)data, (size_t)size},
                                 .type = FW_TEXT_NONE},
                        .audience = audience,
                        .audience_count = 1,
                        .exclude = {FW_TEXT_NONE, FW_TEXT_NONE},
                        .origin = FW_TEXT_NONE,
                        .user_id = FW_TEXT_NONE,
                        .traceparent = FW_TEXT_NONE};
    if (number % 4 == 0)
        event.invalidate = (fw_invalidate_t){.tags = tags, .tags_count = 1};
    int result =
        fw_publisher_send(publisher, &event, FW_ACK_PURGED, fw_clock_ms(), &request_id, &refusal);
    if (result == 0)
        self->number_of[request_id % (EVENTS + 16)] = number;
    return result;
}

static void *publish_all(void *args)
{
    publisher_t *self = args;
    fw_publisher_t *publisher = NULL;
    fw_random_t random = {self->seed};
    fw_publisher_options_t options = {.endpoint = self->endpoint,
                                      .name = "chain",
                                      .in_flight_max = 256,
                                      .timeout_ms = DEADLINE_MS};
    uint32_t number = self->first;
    if (fw_publisher_new(&options, on_done, self, &publisher) < 0)
        return NULL;
    while (self->done < EVENTS / PUBLISHERS) {
        fw_random_t before = random;
        while (number < EVENTS && send_event(self, publisher, &random, number) == 0) {
            number += PUBLISHERS;
            before = random;
        }
        random = before; /* a full window does not count */
        zmq_pollitem_t item = {zsock_resolve(fw_publisher_socket(publisher)), 0, ZMQ_POLLIN, 0};
        (void)zmq_poll(&item, 1, 20);
        fw_publisher_service(publisher, fw_clock_ms());
    }
    fw_publisher_destroy(&publisher);
    return NULL;
}

/* --- readers */

static const char *after(const char *payload, size_t size, const char *key)
{
    const char *at = memmem(payload, size, key, strlen(key));
    return at ? at + strlen(key) : NULL;
}

static void on_frame(void *context, size_t session, const char *payload, size_t size)
{
    readers_t *self = context;
    const char *name = after(payload, size, "\"channel\":\"");
    const char *offset_text = after(payload, size, "\"offset\":\"");
    const char *number_text = after(payload, size, "{\"n\":");
    assert_non_null(name);
    assert_non_null(offset_text);
    assert_non_null(number_text); /* a reset or an error has none: there must be no such */
    size_t channel = channel_index(name);
    uint64_t offset = strtoull(offset_text, NULL, 10);
    uint32_t number = (uint32_t)strtoul(number_text, NULL, 10);
    assert_int_equal(offset, self->sessions[session].next[channel]);
    self->sessions[session].next[channel]++;
    if (self->seen[channel][offset] == UINT32_MAX)
        self->seen[channel][offset] = number;
    assert_int_equal(self->seen[channel][offset], number);
}

static void make_path(char *path, size_t size, readers_t *readers, size_t session)
{
    char user[16];
    size_t number = session % USERS;
    (void)snprintf(user, sizeof user, "%zu", number);
    char *token = fw_test_token(SECRET, user);
    if (session % 2) {
        size_t room = session / 2 % ROOMS;
        (void)snprintf(path, size, "/ws/room/%zu?token=%s", room, token);
        readers->sessions[session].next[room] = 1;
    } else {
        (void)snprintf(path, size, "/ws?token=%s", token);
        readers->sessions[session].next[BROADCAST] = 1;
        readers->sessions[session].next[ROOMS + number] = 1;
    }
    r_free(token);
}

static many_sessions_t *open_sessions(readers_t *readers, int port)
{
    static char texts[SESSIONS][512];
    static const char *paths[SESSIONS];
    for (size_t i = 0; i < SESSIONS; i++) {
        make_path(texts[i], sizeof texts[i], readers, i);
        paths[i] = texts[i];
    }
    many_sessions_options_t options = {.host = "127.0.0.1",
                                       .port = port,
                                       .count = SESSIONS,
                                       .paths = paths,
                                       .skip = 1,
                                       .frame = on_frame,
                                       .context = readers};
    return many_sessions_open(&options);
}

static bool all_ended(const publisher_t *publishers)
{
    for (int i = 0; i < PUBLISHERS; i++)
        if (publishers[i].done < EVENTS / PUBLISHERS)
            return false;
    return true;
}

/* Events of a channel: acknowledged offsets without a hole. */
static uint64_t count_events(const channel_t *channel)
{
    uint64_t count = 0;
    while (count < EVENTS && channel->number_at[count + 1] != UINT32_MAX)
        count++;
    return count;
}

static void check(const readers_t *readers, const channel_t *channels)
{
    uint64_t total = 0;
    for (size_t c = 0; c < CHANNELS; c++) {
        uint64_t count = count_events(&channels[c]);
        total += count;
        for (size_t i = 0; i < SESSIONS; i++)
            if (readers->sessions[i].next[c])
                assert_int_equal(readers->sessions[i].next[c], count + 1);
        for (uint64_t offset = 1; offset <= count; offset++)
            assert_int_equal(readers->seen[c][offset], channels[c].number_at[offset]);
    }
    assert_int_equal(total, EVENTS);
}

static size_t expected_frames(const readers_t *readers, const channel_t *channels)
{
    size_t frames = 0;
    for (size_t c = 0; c < CHANNELS; c++)
        for (size_t i = 0; i < SESSIONS; i++)
            if (readers->sessions[i].next[c])
                frames += count_events(&channels[c]);
    return frames;
}

static void read_until_ended(many_sessions_t *sessions, const publisher_t *publishers,
                             size_t *ret_frames)
{
    while (!all_ended(publishers))
        *ret_frames += many_sessions_read(sessions, 20);
}

static void every_subscriber_gets_exactly_its_events_in_order(void **state)
{
    (void)state;
    static chain_t chain;
    static readers_t readers;
    static channel_t channels[CHANNELS];
    static publisher_t publishers[PUBLISHERS];
    pthread_t threads[PUBLISHERS];
    size_t frames = 0;
    for (size_t c = 0; c < CHANNELS; c++) {
        const char *prefix = c < ROOMS ? "room:" : "user:";
        (void)snprintf(channels[c].channel, sizeof channels[c].channel, "%s%zu", prefix,
                       c < ROOMS ? c : c - ROOMS);
        if (c == BROADCAST)
            (void)snprintf(channels[c].channel, sizeof channels[c].channel, "broadcast");
        channels[c].number_at = malloc((EVENTS + 2) * sizeof(uint32_t));
        readers.seen[c] = malloc((EVENTS + 2) * sizeof(uint32_t));
        memset(channels[c].number_at, 0xff, (EVENTS + 2) * sizeof(uint32_t));
        memset(readers.seen[c], 0xff, (EVENTS + 2) * sizeof(uint32_t));
    }
    start_chain(&chain);
    many_sessions_t *sessions = open_sessions(&readers, fw_gateway_port(chain.gateway));
    print_message("seeds 100 to %d\n", 100 + PUBLISHERS - 1);
    for (uint32_t i = 0; i < PUBLISHERS; i++) {
        publishers[i].endpoint = chain.at.publish;
        publishers[i].first = i;
        publishers[i].seed = 100 + i;
        publishers[i].channels = channels;
        assert_int_equal(pthread_create(&threads[i], NULL, publish_all, &publishers[i]), 0);
    }
    read_until_ended(sessions, publishers, &frames);
    for (size_t i = 0; i < PUBLISHERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(publishers[i].refused, 0);
    }
    if (expected_frames(&readers, channels) > frames)
        many_sessions_read_frames(sessions, expected_frames(&readers, channels) - frames);
    check(&readers, channels);
    print_message("%d events, %zu frames\n", EVENTS, expected_frames(&readers, channels));
    many_sessions_close(&sessions);
    stop_chain(&chain);
    for (size_t c = 0; c < CHANNELS; c++) {
        free(channels[c].number_at);
        free(readers.seen[c]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_subscriber_gets_exactly_its_events_in_order),
    };
    fw_signals_block();
    fw_log_setup(FW_LOG_WARN, FW_LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
