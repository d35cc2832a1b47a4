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
    uint64_t purged;               /* jobs done so far: stands for the Redis clock */
    fw_cache_action_t actions[64]; /* jobs about the whole cache */
    uint64_t action_jobs[64];
    size_t actions_count;
    size_t alarms;
    fw_policies_t *policies;
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
    if (job->cache_action != FW_CACHE_NONE) {
        f->action_jobs[f->actions_count % 64] = job->job_id;
        f->actions[f->actions_count++ % 64] = job->cache_action;
        return 0;
    }
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

static void on_alarm(void *context)
{
    ((fixture_t *)context)->alarms++;
}

static fw_store_t *make_store(const void *store_options, const fw_store_answers_t *answers)
{
    return fw_store_memory_new(store_options, answers);
}

static int set_up(void **state)
{
    static const char *const rules[] = {"room:held* barrier=hold"};
    fw_policy_t fallback = {1000, 1 << 24, INT64_MAX / 4, false};
    fw_config_error_t error;
    fixture_t *f = calloc(1, sizeof *f);
    fw_core_options_t options = {.credit = 8,
                                 .barrier_first_us = 200 * MS,
                                 .barrier_timeout_us = 500 * MS,
                                 .hold_timeout_us = 2000 * MS,
                                 .open_timeout_us = 1000 * MS,
                                 .held_max = 1000,
                                 .jobs_max = 20,
                                 .dedupe_us = 300 * 1000 * MS,
                                 .dedupe_max = 100000,
                                 .lease_us = 2000 * MS,
                                 .retry_base_us = 50 * MS,
                                 .retry_us_max = 5000 * MS,
                                 .silence_us_max = 3000 * MS,
                                 .seed = 1};
    assert_int_equal(fw_policies_new(rules, 1, &fallback, &f->policies, &error), 0);
    options.policies = f->policies;
    fw_store_memory_options_t store = {.policies = f->policies,
                                       .bytes_max = 1 << 26,
                                       .idle_us_max = INT64_MAX / 4,
                                       .channels_max = 1000,
                                       .seed = 3};
    fw_core_output_t output = {f, on_ack, on_job, on_deliver, on_alarm};
    f->released = calloc(RELEASES_MAX, sizeof *f->released);
    f->acked = calloc(ACKS_MAX, sizeof *f->acked);
    f->metrics = fw_metrics_new();
    f->codec = fw_codec_new();
    f->core = fw_core_new(&options, &output, make_store, &store, f->metrics, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    fw_core_destroy(&f->core);
    fw_policies_destroy(&f->policies);
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
    assert_true(fw_core_drained(f->core, 0));
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
    assert_true(fw_core_drained(f->core, 0));
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
    assert_false(fw_core_drained(f->core, 0));
}

static void end_action(fixture_t *f, size_t index, int64_t now_us)
{
    fw_job_done_t answer = {.job_id = f->action_jobs[index % 64], .redis_time = ++f->purged};
    fw_core_job_done(f->core, &worker, &answer, now_us);
}

static void gateways_wait_until_the_cache_is_opened(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(fw_core_cache_state(f->core, 0), FW_CACHE_STATE_WAIT);
    fw_core_worker(f->core, &worker, 10, 0);
    assert_int_equal(f->actions_count, 1);
    assert_int_equal(f->actions[0], FW_CACHE_OPEN);
    assert_int_equal(fw_core_cache_state(f->core, 999 * MS), FW_CACHE_STATE_WAIT);
    end_action(f, 0, 999 * MS);
    assert_int_equal(fw_core_cache_state(f->core, 999 * MS), FW_CACHE_STATE_SETTLED);
}

static void who_is_reset_before_the_cache_is_opened_is_told_so(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(fw_core_cache_state(f->core, 1000 * MS), FW_CACHE_STATE_UNCONFIRMED);
    fw_core_worker(f->core, &worker, 10, 1000 * MS);
    end_action(f, 0, 1001 * MS);
    assert_int_equal(fw_core_cache_state(f->core, 1001 * MS), FW_CACHE_STATE_SETTLED);
}

static void a_cache_that_cannot_be_opened_stays_unconfirmed(void **state)
{
    fixture_t *f = *state;
    fw_core_worker(f->core, &worker, 10, 0);
    fw_job_failed_t failed = {.job_id = f->action_jobs[0], .reason = FW_TEXT("NOPERM")};
    fw_core_job_failed(f->core, &worker, &failed, 1);
    assert_int_equal(fw_core_cache_state(f->core, 1), FW_CACHE_STATE_UNCONFIRMED);
}

static void a_clean_end_closes_the_cache_when_no_purge_is_owed(void **state)
{
    fixture_t *f = *state;
    fw_core_worker(f->core, &worker, 10, 0);
    end_action(f, 0, 0);
    publish(f, 1, (call_t){"a", {"room:1"}, "t", FW_ACK_PURGED, &service}, 0);
    fw_core_drain(f->core);
    assert_false(fw_core_drained(f->core, 0));
    fw_core_tick(f->core, 500 * MS); /* released, its purge is still owed */
    assert_int_equal(f->released_count, 1);
    assert_false(fw_core_drained(f->core, 500 * MS));
    assert_int_equal(f->actions_count, 1);
    done(f, 0, 501 * MS);
    assert_false(fw_core_drained(f->core, 501 * MS));
    assert_int_equal(f->actions[1], FW_CACHE_CLOSE);
    assert_false(fw_core_drained(f->core, 501 * MS));
    end_action(f, 1, 502 * MS);
    assert_true(fw_core_drained(f->core, 502 * MS));
}

static void purges_that_fill_the_memory_become_one_flush(void **state)
{
    fixture_t *f = *state;
    char id[16];
    for (uint64_t i = 0; i < 30; i++) {
        (void)snprintf(id, sizeof id, "%d", (int)i);
        publish(f, i + 1, (call_t){id, {"room:1"}, "t", FW_ACK_PURGED, NULL}, 0);
    }
    fw_core_tick(f->core, 500 * MS);
    assert_int_equal(f->released_count, 30);
    fw_core_tick(f->core, 501 * MS);
    fw_core_worker(f->core, &worker, 100, 600 * MS);
    assert_int_equal(f->jobs_count, 0);
    assert_int_equal(f->actions_count, 2);
    assert_int_equal(f->actions[1], FW_CACHE_FLUSH);
}

static void a_channel_that_holds_waits_longer_than_others(void **state)
{
    fixture_t *f = *state;
    publish(f, 1, (call_t){"a", {"room:held", "room:1"}, "t", FW_ACK_PURGED, &service}, 0);
    publish(f, 2, (call_t){"b", {"room:held"}, NULL, FW_ACK_PURGED, &service}, 0);
    fw_core_tick(f->core, 500 * MS);
    assert_int_equal(f->released_count, 1);
    assert_string_equal(f->released[0].channel, "room:1");
    assert_true(f->released[0].unconfirmed);
    assert_int_equal(f->acked_count, 0);
    fw_core_worker(f->core, &worker, 10, 1000 * MS);
    done(f, 0, 1001 * MS);
    assert_int_equal(f->released_count, 3);
    assert_string_equal(f->released[1].channel, "room:held");
    assert_false(f->released[1].unconfirmed);
    assert_int_equal(f->released[1].fresh, 1);
    assert_int_equal(f->acked_count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(f->acked[i].unconfirmed, f->acked[i].request_id == 1);
}

static void holding_ends_flagged_when_its_own_time_is_up(void **state)
{
    fixture_t *f = *state;
    publish(f, 1, (call_t){"a", {"room:held"}, "t", FW_ACK_PURGED, &service}, 0);
    fw_core_tick(f->core, 1999 * MS);
    assert_int_equal(f->released_count, 0);
    fw_core_tick(f->core, 2000 * MS);
    assert_int_equal(f->released_count, 1);
    assert_true(f->released[0].unconfirmed);
    assert_true(last_ack(f)->unconfirmed);
}

static void ignore(void *context, fw_store_positions_t *positions)
{
    (void)context, (void)positions;
}

static fw_position_t place_of(fixture_t *f, const char *channel)
{
    fw_text_t channels[] = {fw_text(channel)};
    fw_position_t visible;
    fw_store_positions_t request = {
        .channels = channels, .channels_count = 1, .ret_visible = &visible, .answer = ignore};
    fw_store_positions(fw_core_store(f->core), &request);
    return visible;
}

static void a_loss_flushes_the_cache_and_then_resets_what_it_may_touch(void **state)
{
    fixture_t *f = *state;
    const fw_text_t rooms = FW_TEXT("room:*");
    publish(f, 1, (call_t){"a", {"room:1", "user:1"}, NULL, FW_ACK_PURGED, &service}, 0);
    fw_position_t room = place_of(f, "room:1"), user = place_of(f, "user:1");
    fw_core_worker(f->core, &worker, 10, 0);
    end_action(f, 0, 0);
    fw_core_lost(f->core, &rooms, 1, 0);
    assert_int_equal(f->actions[1], FW_CACHE_FLUSH);
    assert_int_equal(place_of(f, "room:1").epoch, room.epoch);
    assert_int_equal(f->alarms, 0);
    end_action(f, 1, 1);
    assert_int_equal(f->alarms, 1);
    assert_true(place_of(f, "room:1").epoch != room.epoch);
    assert_int_equal(place_of(f, "user:1").epoch, user.epoch);
    assert_int_equal(fw_core_cache_state(f->core, 1), FW_CACHE_STATE_SETTLED);
}

static void a_loss_resets_unconfirmed_when_the_flush_takes_too_long(void **state)
{
    fixture_t *f = *state;
    const fw_text_t rooms = FW_TEXT("room:*");
    fw_core_worker(f->core, &worker, 10, 0);
    end_action(f, 0, 0);
    fw_core_lost(f->core, &rooms, 1, 0);
    assert_true(fw_core_next_us(f->core) <= 1000 * MS);
    fw_core_tick(f->core, 1000 * MS);
    assert_int_equal(f->alarms, 1);
    assert_int_equal(fw_core_cache_state(f->core, 1000 * MS), FW_CACHE_STATE_UNCONFIRMED);
    end_action(f, 1, 1001 * MS);
    assert_int_equal(f->alarms, 1);
    assert_int_equal(fw_core_cache_state(f->core, 1001 * MS), FW_CACHE_STATE_SETTLED);
}

static void more_losses_than_fit_are_one_loss_of_everything(void **state)
{
    fixture_t *f = *state;
    const fw_text_t room = FW_TEXT("room:1");
    publish(f, 1, (call_t){"a", {"user:1"}, NULL, FW_ACK_PURGED, &service}, 0);
    fw_position_t user = place_of(f, "user:1");
    fw_core_worker(f->core, &worker, 100, 0);
    end_action(f, 0, 0);
    for (int i = 0; i < 70; i++)
        fw_core_lost(f->core, &room, 1, 0);
    assert_int_equal(f->actions_count, 65);
    end_action(f, 1, 1);
    fw_core_tick(f->core, 2);
    assert_int_equal(f->actions_count, 66);
    end_action(f, 65, 3);
    assert_true(place_of(f, "user:1").epoch != user.epoch);
}

static void an_event_released_after_a_reset_carries_the_new_epoch(void **state)
{
    fixture_t *f = *state;
    const fw_text_t rooms = FW_TEXT("room:*");
    fw_core_worker(f->core, &worker, 10, 0);
    end_action(f, 0, 0);
    publish(f, 1, (call_t){"a", {"room:1"}, NULL, FW_ACK_PURGED, &service}, 0);
    publish(f, 2, (call_t){"b", {"room:1"}, "t", FW_ACK_PURGED, &service}, 0);
    fw_core_lost(f->core, &rooms, 1, 0);
    end_action(f, 1, 1);
    fw_position_t now = place_of(f, "room:1");
    assert_int_equal(now.offset, 1);
    done(f, 0, 2);
    assert_int_equal(f->released[1].position.epoch, now.epoch);
    assert_int_equal(f->released[1].position.offset, 2);
}

static void an_unacknowledged_event_that_finds_no_room_is_a_loss(void **state)
{
    fixture_t *f = *state;
    char id[16];
    for (uint64_t i = 0; i < 1001; i++) {
        (void)snprintf(id, sizeof id, "%d", (int)i);
        publish(f, i + 1, (call_t){id, {"room:1"}, "t", FW_ACK_PURGED, NULL}, 0);
    }
    fw_core_tick(f->core, 1000 * MS);
    assert_int_equal(f->alarms, 1);
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
        (void)fw_core_publisher_seen(f->core, &service, now);
        check_releases(f, &checked, heads);
    }
    for (int i = 0; i < 100; i++) {
        now += 100 * MS;
        (void)fw_core_publisher_seen(f->core, &service, now);
        fw_core_tick(f->core, now);
    }
    check_releases(f, &checked, heads);
    assert_true(fw_core_drained(f->core, now));
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
        CASE(gateways_wait_until_the_cache_is_opened),
        CASE(who_is_reset_before_the_cache_is_opened_is_told_so),
        CASE(a_cache_that_cannot_be_opened_stays_unconfirmed),
        CASE(a_clean_end_closes_the_cache_when_no_purge_is_owed),
        CASE(purges_that_fill_the_memory_become_one_flush),
        CASE(a_channel_that_holds_waits_longer_than_others),
        CASE(holding_ends_flagged_when_its_own_time_is_up),
        CASE(a_loss_flushes_the_cache_and_then_resets_what_it_may_touch),
        CASE(a_loss_resets_unconfirmed_when_the_flush_takes_too_long),
        CASE(more_losses_than_fit_are_one_loss_of_everything),
        CASE(an_event_released_after_a_reset_carries_the_new_epoch),
        CASE(an_unacknowledged_event_that_finds_no_room_is_a_loss),
        cmocka_unit_test(random_faults_never_break_order_nor_lose_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
