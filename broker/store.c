/* store.c - calls the engine.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/store.h"

void fw_store_destroy(fw_store_t **self_p)
{
    if (!*self_p)
        return;
    (*self_p)->engine->destroy(*self_p);
    *self_p = NULL;
}

void fw_store_append(fw_store_t *self, fw_store_append_t *batch, size_t count)
{
    self->engine->append(self, batch, count);
}

void fw_store_commit(fw_store_t *self, fw_store_commit_t *batch, size_t count)
{
    self->engine->commit(self, batch, count);
}

void fw_store_read(fw_store_t *self, fw_store_read_t *read)
{
    self->engine->read(self, read);
}

void fw_store_positions(fw_store_t *self, fw_store_positions_t *positions)
{
    self->engine->positions(self, positions);
}

void fw_store_reset(fw_store_t *self, const fw_text_t *patterns, size_t count)
{
    self->engine->reset(self, patterns, count);
}

void fw_store_tick(fw_store_t *self, int64_t now_us)
{
    self->engine->tick(self, now_us);
}

void fw_store_stats(const fw_store_t *self, fw_store_stats_t *ret_stats)
{
    self->engine->stats(self, ret_stats);
}
