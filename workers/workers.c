/* workers.c - starts and stops the purge actors.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/actor.h"
#include "runtime/alloc.h"
#include "runtime/log.h"
#include "workers/purge_job.h"
#include "workers/purger.h"

/* The names that one actor goes by. They live as long as the health registry, which borrows them.
 */
typedef struct {
    const char *purger;
    const char *sweeper;
    const char *redis_condition;
    const char *broker_condition;
} names_t;

static const names_t names[FW_WORKERS_ACTORS_MAX] = {
    {"purger-0", "sweeper-0", "redis", "worker link"},
    {"purger-1", "sweeper-1", "redis 1", "worker link 1"},
    {"purger-2", "sweeper-2", "redis 2", "worker link 2"},
    {"purger-3", "sweeper-3", "redis 3", "worker link 3"},
    {"purger-4", "sweeper-4", "redis 4", "worker link 4"},
    {"purger-5", "sweeper-5", "redis 5", "worker link 5"},
    {"purger-6", "sweeper-6", "redis 6", "worker link 6"},
    {"purger-7", "sweeper-7", "redis 7", "worker link 7"},
};

struct fw_workers {
    fw_workers_config_t config;
    fw_worker_metrics_t metrics;
    fw_purger_args_t args[FW_WORKERS_ACTORS_MAX];
    fw_actor_t *actors[FW_WORKERS_ACTORS_MAX];
};

fw_workers_config_t fw_workers_defaults(void)
{
    return (fw_workers_config_t){
        .jobs_endpoint = "tcp://127.0.0.1:7003",
        .redis_url = "redis://127.0.0.1:6379",
        .name_space = "fw",
        .actors = 2, /* so that another one can take over what one is stuck with */
        .capacity = 1024,
        .stamp_ttl_ms = INT64_C(24) * 60 * 60 * 1000,
        .redis_timeout_ms = 1000,
        .sweep_duty_percent = 10,
        .sweep_count = 400,
        .sweep_prefix_min = 3,
        .delay_ms = 0,
    };
}

/* Names what is wrong with the configuration; NULL when nothing is. */
static const char *find_fault(const fw_workers_config_t *config)
{
    if (config->actors < 1 || config->actors > FW_WORKERS_ACTORS_MAX) {
        return "actors must be from 1 to 8";
    }
    if (config->capacity < 1 || config->capacity > FW_PURGER_CAPACITY_MAX) {
        return "capacity must be from 1 to 4096";
    }
    size_t name_size = strlen(config->name_space);
    if (name_size < 1 || name_size > FW_PURGE_NAME_SPACE_SIZE_MAX) {
        return "the name space must have 1 to 64 bytes";
    }
    if (config->stamp_ttl_ms < 1 || config->redis_timeout_ms < 1 || config->delay_ms < 0) {
        return "a duration is out of range";
    }
    if (config->sweep_duty_percent < 1 || config->sweep_duty_percent > 100 ||
        config->sweep_count < 1) {
        return "sweep_duty_percent must be from 1 to 100, sweep_count at least 1";
    }
    return NULL;
}

int fw_workers_start(const fw_workers_config_t *config, fw_metrics_t *metrics, fw_health_t *health,
                     fw_workers_t **ret_workers)
{
    fw_redis_url_t targets[FW_REDIS_TARGETS_MAX];
    size_t targets_count = 0;
    const char *fault = find_fault(config);
    if (fault || fw_redis_urls_parse(config->redis_url, targets, &targets_count, &fault) != 0) {
        fw_log(FW_LOG_ERROR, "workers cannot start", FW_KV_TEXT("reason", fault));
        return -EINVAL;
    }
    fw_workers_t *self = fw_alloc(1, sizeof(*self));
    self->config = *config;
    self->metrics = fw_worker_metrics_make(metrics);
    for (uint32_t i = 0; i < config->actors; i++) {
        self->args[i] = (fw_purger_args_t){
            .config = &self->config,
            .targets_count = targets_count,
            .name = names[i].purger,
            .sweeper_name = names[i].sweeper,
            .metrics = &self->metrics,
            .pulse = fw_health_pulse(health, names[i].purger),
            .redis_up = fw_health_condition(health, names[i].redis_condition),
            .broker_up = fw_health_condition(health, names[i].broker_condition),
        };
        memcpy(self->args[i].targets, targets, sizeof(targets));
        int result =
            fw_actor_start(names[i].purger, fw_purger_run, &self->args[i], &self->actors[i]);
        if (result != 0) {
            fw_workers_stop(&self);
            return result;
        }
    }
    *ret_workers = self;
    return 0;
}

void fw_workers_stop(fw_workers_t **self_p)
{
    fw_workers_t *self = *self_p;
    if (!self) {
        return;
    }
    /* All drain at once, so that stopping takes as long as the slowest, not as all together. */
    for (size_t i = 0; i < FW_WORKERS_ACTORS_MAX; i++) {
        /* If it does not get through, STOP drains this one a little later. */
        if (self->actors[i] && fw_actor_send(self->actors[i], FW_CONTROL_DRAIN) != 0) {
            fw_log(FW_LOG_DEBUG, "worker does not take controls",
                   FW_KV_TEXT("worker", names[i].purger));
        }
    }
    for (size_t i = 0; i < FW_WORKERS_ACTORS_MAX; i++) {
        fw_actor_stop(&self->actors[i]);
    }
    explicit_bzero(self, sizeof(*self)); /* It holds passwords. */
    free(self);
    *self_p = NULL;
}
