/* redis_pool.c - the servers of one Redis.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/redis_pool.h"

#include <stdlib.h>

#include "cache/scripts.h"
#include "runtime/alloc.h"
#include "workers/purge_pipeline.h"

struct fw_redis_pool {
    fw_redis_pool_config_t config;
    fw_redis_link_t *link;
    fw_purge_pipeline_t *pipeline;
    bool ready;
};

static void on_state(void *context, fw_redis_link_state_t state)
{
    fw_redis_pool_t *self = context;
    bool ready = state == FW_REDIS_LINK_CONNECTED;
    if (ready != self->ready) {
        self->ready = ready;
        self->config.on_ready(self->config.context);
    }
}

static void on_error(void *context, fw_redis_error_t error)
{
    fw_redis_pool_t *self = context;
    self->config.on_error(self->config.context, error);
}

fw_redis_pool_t *fw_redis_pool_new(zloop_t *loop, const fw_redis_pool_config_t *config)
{
    fw_redis_pool_t *self = fw_alloc(1, sizeof(*self));
    self->config = *config;
    const fw_redis_link_config_t link = {
        .address = config->address,
        .timeout_ms = config->timeout_ms,
        .name = config->name,
        .script = fw_cache_script_bump,
        .seed = config->seed,
        .on_state = on_state,
        .on_error = on_error,
        .context = self,
    };
    self->link = fw_redis_link_new(loop, &link);
    const fw_purge_pipeline_config_t pipeline = {
        .redis = self->link,
        .stamp_ttl_ms = config->stamp_ttl_ms,
        .seed = config->seed,
        .on_decided = config->on_decided,
        .on_error = config->on_error,
        .on_batch = config->on_batch,
        .context = config->context,
    };
    self->pipeline = fw_purge_pipeline_new(&pipeline);
    return self;
}

void fw_redis_pool_destroy(fw_redis_pool_t **self_p)
{
    fw_redis_pool_t *self = *self_p;
    if (!self) {
        return;
    }
    fw_redis_link_destroy(&self->link);
    fw_purge_pipeline_destroy(&self->pipeline);
    free(self);
    *self_p = NULL;
}

void fw_redis_pool_tick(fw_redis_pool_t *self, int64_t now_ms)
{
    fw_redis_link_tick(self->link, now_ms);
}

bool fw_redis_pool_ready(const fw_redis_pool_t *self)
{
    return self->ready;
}

uint64_t fw_redis_pool_restarts(const fw_redis_pool_t *self)
{
    return fw_redis_link_restarts(self->link);
}

void fw_redis_pool_add(fw_redis_pool_t *self, fw_purge_job_t **job_p)
{
    fw_purge_pipeline_add(self->pipeline, job_p);
}

void fw_redis_pool_run(fw_redis_pool_t *self)
{
    fw_purge_pipeline_run(self->pipeline);
}

int fw_redis_pool_call(fw_redis_pool_t *self, fw_text_t key, int argc, const char **argv,
                       const size_t *sizes, fw_redis_reply_fn *reply_fn, void *context,
                       size_t index)
{
    (void)key;
    int result = fw_redis_link_command(self->link, argc, argv, sizes, reply_fn, context, index);
    fw_redis_link_flush(self->link);
    return result;
}
