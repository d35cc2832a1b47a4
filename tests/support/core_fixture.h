/* core_fixture.h - a broker's core whose outputs are noted.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "broker/core.h"
#include "broker/store_memory.h"

enum { MS = 1000, RELEASES_MAX = 200000, ACKS_MAX = 4096 };

typedef struct {
    char channel[64];
    fw_position_t position;
    uint64_t fresh;
    bool unconfirmed;
} core_released_t;

typedef struct {
    uint64_t request_id;
    fw_publish_status_t status;
    uint64_t offset; /* of the first channel */
    bool unconfirmed;
    uint64_t fresh;
} core_acked_t;

typedef struct {
    fw_core_t *core;
    fw_metrics_t *metrics;
    fw_codec_t *codec;
    core_released_t *released;
    size_t released_count;
    core_acked_t *acked;
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
} core_fixture_t;

typedef struct {
    const char *id;
    const char *channels[4];
    const char *tag;
    fw_ack_level_t level;
    const fw_peer_t *from;
} core_call_t;

extern const fw_peer_t core_service, core_other, core_worker;

/* For cmocka. */
int core_set_up(void **state);
int core_tear_down(void **state);
/* Another core in its place, of a broker that has no cache. */
void core_restart_without_cache(core_fixture_t *f);

void core_publish(core_fixture_t *f, uint64_t request_id, core_call_t call, int64_t now_us);
/* The worker that got the job says that it is done. */
void core_done(core_fixture_t *f, size_t job, int64_t now_us);
const core_acked_t *core_last_ack(const core_fixture_t *f);
/* A job about the whole cache is done. */
void core_end_action(core_fixture_t *f, size_t index, int64_t now_us);
fw_position_t core_place_of(core_fixture_t *f, const char *channel);
