/* core_fixture.c - see core_fixture.h.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/core_fixture.h"

const fw_peer_t core_service = {1, {'s'}};
const fw_peer_t core_other = {1, {'o'}};
const fw_peer_t core_worker = {1, {'w'}};

static void on_ack(void *context, const fw_peer_t *publisher, const fw_publish_ack_t *ack)
{
    core_fixture_t *f = context;
    (void)publisher;
    f->acked[f->acked_count++ % ACKS_MAX] = (core_acked_t){
        ack->request_id, ack->status, ack->positions_count ? ack->positions[0].position.offset : 0,
        ack->unconfirmed, ack->fresh};
}

static int on_job(void *context, const fw_peer_t *to, const fw_job_t *job)
{
    core_fixture_t *f = context;
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
    core_fixture_t *f = context;
    core_released_t *released = &f->released[f->released_count++];
    assert_true(f->released_count < RELEASES_MAX);
    (void)snprintf(released->channel, sizeof released->channel, "%s", delivery->channel.text);
    released->position = delivery->position;
    released->fresh = delivery->fresh;
    released->unconfirmed = delivery->unconfirmed;
}

static void on_alarm(void *context)
{
    ((core_fixture_t *)context)->alarms++;
}

static fw_store_t *make_store(const void *store_options, const fw_store_answers_t *answers)
{
    return fw_store_memory_new(store_options, answers);
}

static void start(core_fixture_t *f, bool no_cache)
{
    static const char *const rules[] = {"room:held* barrier=hold"};
    fw_policy_t fallback = {1000, 1 << 24, INT64_MAX / 4, false};
    fw_config_error_t error;
    fw_core_options_t options = {.credit = 8,
                                 .barrier_first_us = 200 * MS,
                                 .barrier_timeout_us = 500 * MS,
                                 .hold_timeout_us = 2000 * MS,
                                 .open_timeout_us = 1000 * MS,
                                 .held_max = 1000,
                                 .jobs_max = 20,
                                 .held_bytes_max = 1 << 18,
                                 .jobs_bytes_max = 1 << 20,
                                 .dedupe_bytes_max = 1 << 26,
                                 .dedupe_us = 300 * 1000 * MS,
                                 .dedupe_max = 100000,
                                 .lease_us = 2000 * MS,
                                 .retry_base_us = 50 * MS,
                                 .retry_us_max = 5000 * MS,
                                 .silence_us_max = 3000 * MS,
                                 .seed = 1,
                                 .no_cache = no_cache};
    assert_int_equal(fw_policies_new(rules, 1, &fallback, &f->policies, &error), 0);
    options.policies = f->policies;
    fw_store_memory_options_t store = {.policies = f->policies,
                                       .bytes_max = 1 << 26,
                                       .idle_us_max = INT64_MAX / 4,
                                       .channels_max = 1000,
                                       .seed = 3};
    fw_core_output_t output = {f, on_ack, on_job, on_deliver, on_alarm, NULL};
    f->core = fw_core_new(&options, &output, make_store, &store, f->metrics, 0);
}

void core_restart_without_cache(core_fixture_t *f)
{
    fw_core_destroy(&f->core);
    fw_policies_destroy(&f->policies);
    start(f, true);
}

int core_set_up(void **state)
{
    core_fixture_t *f = calloc(1, sizeof *f);
    f->released = calloc(RELEASES_MAX, sizeof *f->released);
    f->acked = calloc(ACKS_MAX, sizeof *f->acked);
    f->metrics = fw_metrics_new();
    f->codec = fw_codec_new();
    start(f, false);
    *state = f;
    return 0;
}

int core_tear_down(void **state)
{
    core_fixture_t *f = *state;
    fw_core_destroy(&f->core);
    fw_policies_destroy(&f->policies);
    fw_metrics_destroy(&f->metrics);
    fw_codec_destroy(&f->codec);
    free(f->released);
    free(f->acked);
    free(f);
    return 0;
}

void core_publish(core_fixture_t *f, uint64_t request_id, core_call_t call, int64_t now_us)
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

void core_done(core_fixture_t *f, size_t job, int64_t now_us)
{
    fw_job_done_t answer = {.job_id = f->jobs[job % 64], .redis_time = ++f->purged};
    fw_core_job_done(f->core, &f->job_workers[job % 64], &answer, now_us);
}

const core_acked_t *core_last_ack(const core_fixture_t *f)
{
    assert_true(f->acked_count > 0);
    return &f->acked[(f->acked_count - 1) % ACKS_MAX];
}

void core_end_action(core_fixture_t *f, size_t index, int64_t now_us)
{
    fw_job_done_t answer = {.job_id = f->action_jobs[index % 64], .redis_time = ++f->purged};
    fw_core_job_done(f->core, &core_worker, &answer, now_us);
}

static void ignore(void *context, fw_store_positions_t *positions)
{
    (void)context, (void)positions;
}

fw_position_t core_place_of(core_fixture_t *f, const char *channel)
{
    fw_text_t channels[] = {fw_text(channel)};
    fw_position_t visible;
    fw_store_positions_t request = {
        .channels = channels, .channels_count = 1, .ret_visible = &visible, .answer = ignore};
    fw_store_positions(fw_core_store(f->core), &request);
    return visible;
}
