/* SPDX-License-Identifier: MPL-2.0
 * The core: who is answered what and when, and the whole promise under random faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core.h"
#include "broker/store_memory.h"
#include "runtime/random.h"

enum { MS = 1000, RELEASES_MAX = 200000, ACKS_MAX = 4096 };

typedef struct {
    char channel[64];
    fw_position_t position;
    uint64_t fresh;
    bool unconfirmed;
} released_t;

typedef struct {
    uint64_t request_id;
    fw_publish_status_t status;
    uint64_t offset; /* of the first channel */
    bool unconfirmed;
    uint64_t fresh;
} acked_t;

typedef struct {
    fw_core_t *core;
    fw_metrics_t *metrics;
    fw_codec_t *codec;
    released_t *released;
    size_t released_count;
    acked_t *acked;
    size_t acked_count;
    uint64_t jobs[64]; /* ids of jobs sent, newest last */
    fw_peer_t job_workers[64];
    size_t jobs_count;
    uint64_t purged; /* jobs done so far: stands for the Redis clock */
} fixture_t;

static const fw_peer_t service = {1, {'s'}};
static const fw_peer_t other = {1, {'o'}};
static const fw_peer_t worker = {1, {'w'}};

static void on_ack(void *context, const fw_peer_t *publisher, const fw_publish_ack_t *ack)
{
    fixture_t *f = context;
    (void)publisher;
    f->acked[f->acked_count++ % ACKS_MAX] = (acked_t){
        ack->request_id, ack->status, ack->positions_count ? ack->positions[0].position.offset : 0,
        ack->unconfirmed, ack->fresh};
}

static int on_job(void *context, const fw_peer_t *to, const fw_job_t *job)
{
    fixture_t *f = context;
    f->job_workers[f->jobs_count % 64] = *to;
    f->jobs[f->jobs_count++ % 64] = job->job_id;
    return 0;
}

static void on_deliver(void *context, const fw_delivery_t *delivery)
{
    fixture_t *f = context;
    released_t *released = &f->released[f->released_count++];
    assert_true(f->released_count < RELEASES_MAX);
    (void)snprintf(released->channel, sizeof released->channel, "%s", delivery->channel.text);
    released->position = delivery->position;
    released->fresh = delivery->fresh;
    released->unconfirmed = delivery->unconfirmed;
}

static fw_store_t *make_store(const void *store_options, const fw_store_answers_t *answers)
{
    return fw_store_memory_new(store_options, answers);
}

static int set_up(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    fw_core_options_t options = {.credit = 8,
                                 .barrier_first_us = 200 * MS,
                                 .barrier_timeout_us = 500 * MS,
                                 .held_max = 1000,
                                 .dedupe_us = 300 * 1000 * MS,
                                 .dedupe_max = 100000,
                                 .lease_us = 2000 * MS,
                                 .retry_base_us = 50 * MS,
                                 .retry_us_max = 5000 * MS,
                                 .silence_us_max = 3000 * MS,
                                 .seed = 1};
    fw_store_memory_options_t store = {.events_max = 1000,
                                       .channel_bytes_max = 1 << 24,
                                       .bytes_max = 1 << 26,
                                       .age_us_max = INT64_MAX / 4,
                                       .idle_us_max = INT64_MAX / 4,
                                       .channels_max = 1000,
                                       .seed = 3};
    fw_core_output_t output = {f, on_ack, on_job, on_deliver};
    f->released = calloc(RELEASES_MAX, sizeof *f->released);
    f->acked = calloc(ACKS_MAX, sizeof *f->acked);
    f->metrics = fw_metrics_new();
    f->codec = fw_codec_new();
    f->core = fw_core_new(&options, &output, make_store, &store, f->metrics);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    fw_core_destroy(&f->core);
    fw_metrics_destroy(&f->metrics);
    fw_codec_destroy(&f->codec);
    free(f->released);
    free(f->acked);
    free(f);
    return 0;
}

typedef struct {
    const char *id;
    const char *channels[4];
    const char *tag;
    fw_ack_level_t level;
    const fw_peer_t *from;
} call_t;

static void publish(fixture_t *f, uint64_t request_id, call_t call, int64_t now_us)
{
    fw_text_t audience[4];
    fw_text_t tags[1] = {fw_text(call.tag)};
    fw_publish_t message = {.request_id = request_id, .level = call.level};
    size_t count = 0;
    while (count < 4 && call.channels[count]) {
        audience[count] = fw_text(call.channels[count]);
        count++;
    }
    message.event = (fw_event_t){.id = fw_text(call.id),
                                 .type = FW_TEXT("project_updated"),
                                 .data = {.kind = FW_PAYLOAD_JSON,
                                          .bytes = {(const uint8_t *)"{}", 2},
                                          .type = FW_TEXT_NONE},
                                 .audience = audience,
                                 .audience_count = count,
                                 .exclude = {FW_TEXT_NONE, FW_TEXT_NONE},
                                 .origin = FW_TEXT_NONE,
                                 .user_id = FW_TEXT_NONE,
                                 .traceparent = FW_TEXT_NONE};
    if (call.tag)
        message.event.invalidate = (fw_invalidate_t){.tags = tags, .tags_count = 1};
    fw_core_publish(f->core, call.from, &message, now_us, 1);
}

static void done(fixture_t *f, size_t job, int64_t now_us)
{
    fw_job_done_t answer = {.job_id = f->jobs[job % 64], .redis_time = ++f->purged};
    fw_core_job_done(f->core, &f->job_workers[job % 64], &answer, now_us);
}

static const acked_t *last_ack(const fixture_t *f)
{
    assert_true(f->acked_count > 0);
    return &f->acked[(f->acked_count - 1) % ACKS_MAX];
}

static void an_event_that_invalidates_nothing_is_released_at_once(void **state)
{
    fixture_t *f = *state;
    publish(f, 1, (call_t){"a", {"room:1"}, NULL, FW_ACK_PURGED, &service}, 0);
    assert_int_equal(f->released_count, 1);
    assert_int_equal(f->released[0].position.offset, 1);
    assert_int_equal(last_ack(f)->status, FW_PUBLISH_OK);
    assert_int_equal(last_ack(f)->offset, 1);
}

static void an_event_is_not_released_before_its_purge(void **state)
{
    fixture_t *f = *state;
    fw_core_worker(f->core, &worker, 10, 0);
    publish(f, 1, (call_t){"a", {"room:1", "user:2"}, "t", FW_ACK_PURGED, &service}, 0);
    assert_int_equal(f->released_count, 0);
    assert_int_equal(f->acked_count, 0);
    done(f, 0, 1 * MS);
    assert_int_equal(f->released_count, 2);
    assert_int_equal(f->released[0].fresh, 1);
    assert_false(f->released[0].unconfirmed);
    assert_int_equal(last_ack(f)->fresh, 1);
    assert_true(fw_core_idle(f->core));
}

static void level_accepted_is_answered_before_the_purge(void **state)
{
    fixture_t *f = *state;
    publish(f, 1, (call_t){"a", {"room:1"}, "t", FW_ACK_ACCEPTED, &service}, 0);
    assert_int_equal(f->acked_count, 1);
    assert_int_equal(f->released_count, 0);
    assert_int_equal(last_ack(f)->offset, 1);
}

static void without_a_worker_it_is_released_flagged_when_its_time_is_up(void **state)
{
    fixture_t *f = *state;
    publish(f, 1, (call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &service}, 0);
    fw_core_tick(f->core, 499 * MS);
    assert_int_equal(f->released_count, 0);
    assert_true(fw_core_next_us(f->core) <= 500 * MS);
    fw_core_tick(f->core, 500 * MS);
    assert_int_equal(f->released_count, 1);
    assert_true(f->released[0].unconfirmed);
    assert_int_equal(f->released[0].fresh, 0);
    assert_true(last_ack(f)->unconfirmed);
    /* The purge itself is not given up. */
    fw_core_worker(f->core, &worker, 10, 600 * MS);
    assert_int_equal(f->jobs_count, 1);
    done(f, 0, 601 * MS);
    assert_int_equal(f->released_count, 1);
}

static void later_events_of_the_channel_wait_and_other_channels_do_not(void **state)
{
    fixture_t *f = *state;
    fw_core_worker(f->core, &worker, 10, 0);
    publish(f, 1, (call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &service}, 0);
    publish(f, 2, (call_t){"b", {"room:1"}, NULL, FW_ACK_PURGED, &service}, 0);
    publish(f, 3, (call_t){"c", {"room:2"}, NULL, FW_ACK_PURGED, &service}, 0);
    assert_int_equal(f->released_count, 1);
    assert_string_equal(f->released[0].channel, "room:2");
    done(f, 0, 1);
    assert_int_equal(f->released_count, 3);
    assert_int_equal(f->released[1].position.offset, 1);
    assert_int_equal(f->released[2].position.offset, 2);
}

static void an_event_that_only_invalidates_reaches_nobody_and_is_answered(void **state)
{
    fixture_t *f = *state;
    fw_core_worker(f->core, &worker, 10, 0);
    publish(f, 1, (call_t){"a", {NULL}, "t", FW_ACK_PURGED, &service}, 0);
    assert_int_equal(f->acked_count, 0);
    done(f, 0, 1);
    assert_int_equal(f->acked_count, 1);
    assert_int_equal(f->released_count, 0);
    assert_true(fw_core_idle(f->core));
}

static void a_retry_with_the_same_id_is_the_same_event(void **state)
{
    fixture_t *f = *state;
    publish(f, 1, (call_t){"a", {"room:1"}, NULL, FW_ACK_PURGED, &service}, 0);
    publish(f, 2, (call_t){"a", {"room:1"}, NULL, FW_ACK_PURGED, &other}, 1);
    assert_int_equal(f->released_count, 1);
    assert_int_equal(f->acked_count, 2);
    assert_int_equal(last_ack(f)->status, FW_PUBLISH_DUPLICATE);
    assert_int_equal(last_ack(f)->offset, 1);
}

static void a_retry_while_the_first_is_in_flight_is_answered_with_it(void **state)
{
    fixture_t *f = *state;
    fw_core_worker(f->core, &worker, 10, 0);
    publish(f, 1, (call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &service}, 0);
    publish(f, 2, (call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &service}, 1);
    assert_int_equal(f->acked_count, 0);
    done(f, 0, 2);
    assert_int_equal(f->acked_count, 2);
    assert_int_equal(f->released_count, 1);
}

static void more_than_its_credit_is_refused_with_overload(void **state)
{
    fixture_t *f = *state;
    char id[16];
    for (uint64_t i = 1; i <= 9; i++) {
        (void)snprintf(id, sizeof id, "%d", (int)i);
        publish(f, i, (call_t){id, {"room:1"}, "t", FW_ACK_PURGED, &service}, 0);
    }
    assert_int_equal(f->acked_count, 1);
    assert_int_equal(last_ack(f)->request_id, 9);
    assert_int_equal(last_ack(f)->status, FW_PUBLISH_OVERLOAD);
    /* Another publisher is not disturbed. */
    publish(f, 50, (call_t){"o", {"room:2"}, NULL, FW_ACK_PURGED, &other}, 0);
    assert_int_equal(last_ack(f)->status, FW_PUBLISH_OK);
}

static void while_draining_publishers_are_asked_to_retry(void **state)
{
    fixture_t *f = *state;
    fw_core_drain(f->core);
    publish(f, 1, (call_t){"a", {"room:1"}, NULL, FW_ACK_PURGED, &service}, 0);
    assert_int_equal(last_ack(f)->status, FW_PUBLISH_RETRY);
    assert_int_equal(f->released_count, 0);
}

static void a_publisher_that_left_is_not_answered(void **state)
{
    fixture_t *f = *state;
    fw_core_worker(f->core, &worker, 10, 0);
    publish(f, 1, (call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &service}, 0);
    fw_core_publisher_gone(f->core, &service);
    done(f, 0, 1);
    assert_int_equal(f->acked_count, 0);
    assert_int_equal(f->released_count, 1);
}

static void a_purge_that_can_never_succeed_is_released_flagged(void **state)
{
    fixture_t *f = *state;
    fw_core_worker(f->core, &worker, 10, 0);
    publish(f, 1, (call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &service}, 0);
    fw_job_failed_t failed = {.job_id = f->jobs[0], .reason = FW_TEXT("WRONGTYPE")};
    fw_core_job_failed(f->core, &worker, &failed, 1);
    assert_int_equal(f->released_count, 1);
    assert_true(f->released[0].unconfirmed);
}

static void destroying_with_events_in_flight_frees_everything(void **state)
{
    fixture_t *f = *state;
    publish(f, 1, (call_t){"a", {"room:1", "room:2"}, "t", FW_ACK_PURGED, &service}, 0);
    publish(f, 2, (call_t){"b", {"room:2"}, NULL, FW_ACK_PURGED, &service}, 0);
    assert_false(fw_core_idle(f->core));
}

/* Checks what was released since the last look: offsets without hole per channel, and P1: an event
 * that is not flagged carries the time of a purge that really happened. */
static void check_releases(fixture_t *f, size_t *from, uint64_t heads[4])
{
    for (; *from < f->released_count; (*from)++) {
        const released_t *released = &f->released[*from];
        size_t channel = (size_t)(released->channel[5] - '0');
        assert_int_equal(released->position.offset, heads[channel] + 1);
        heads[channel]++;
        assert_true(released->unconfirmed || released->fresh <= f->purged);
    }
}

static void run_random(fixture_t *f, uint64_t seed)
{
    static const char *const rooms[] = {"room:0", "room:1", "room:2", "room:3"};
    fw_random_t random = {seed};
    uint64_t heads[4] = {0};
    uint64_t request = 0;
    size_t checked = 0, answered = 0, expected = 0;
    int64_t now = 0;
    for (int step = 0; step < 3000; step++) {
        now += (int64_t)fw_random_below(&random, 30 * MS);
        uint64_t dice = fw_random_below(&random, 100);
        fw_peer_t w = {1, {(uint8_t)('w' + fw_random_below(&random, 3))}};
        if (dice < 40) {
            char id[16];
            size_t a = fw_random_below(&random, 4);
            size_t b = (a + 1 + fw_random_below(&random, 3)) % 4;
            (void)snprintf(id, sizeof id, "%d", (int)fw_random_below(&random, 1000));
            publish(f, ++request,
                    (call_t){id,
                             {rooms[a], fw_random_below(&random, 2) ? rooms[b] : NULL},
                             fw_random_below(&random, 3) ? "t" : NULL,
                             fw_random_below(&random, 2) ? FW_ACK_PURGED : FW_ACK_ACCEPTED,
                             &service},
                    now);
            expected++;
        } else if (dice < 55) {
            fw_core_worker(f->core, &w, 4, now);
        } else if (dice < 57) {
            fw_core_worker_gone(f->core, &w, now);
        } else {
            fw_core_tick(f->core, now);
        }
        for (; answered < f->jobs_count; answered++)
            if (fw_random_below(&random, 10) < 6)
                done(f, answered, now);
        fw_core_publisher_seen(f->core, &service, now);
        check_releases(f, &checked, heads);
    }
    for (int i = 0; i < 100; i++) {
        now += 100 * MS;
        fw_core_publisher_seen(f->core, &service, now);
        fw_core_tick(f->core, now);
    }
    check_releases(f, &checked, heads);
    assert_true(fw_core_idle(f->core));
    assert_int_equal(f->acked_count, expected);
}

static void random_faults_never_break_order_nor_lose_an_answer(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        void *own;
        assert_int_equal(set_up(&own), 0);
        print_message(seed == 1 ? "seeds 1 to 100\n" : "");
        run_random(own, seed);
        assert_int_equal(tear_down(&own), 0);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_event_that_invalidates_nothing_is_released_at_once),
        CASE(an_event_is_not_released_before_its_purge),
        CASE(level_accepted_is_answered_before_the_purge),
        CASE(without_a_worker_it_is_released_flagged_when_its_time_is_up),
        CASE(later_events_of_the_channel_wait_and_other_channels_do_not),
        CASE(an_event_that_only_invalidates_reaches_nobody_and_is_answered),
        CASE(a_retry_with_the_same_id_is_the_same_event),
        CASE(a_retry_while_the_first_is_in_flight_is_answered_with_it),
        CASE(more_than_its_credit_is_refused_with_overload),
        CASE(while_draining_publishers_are_asked_to_retry),
        CASE(a_publisher_that_left_is_not_answered),
        CASE(a_purge_that_can_never_succeed_is_released_flagged),
        CASE(destroying_with_events_in_flight_frees_everything),
        cmocka_unit_test(random_faults_never_break_order_nor_lose_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
