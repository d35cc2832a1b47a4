/* shared.c - see shared.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/shared.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "runtime/alloc.h"

typedef struct version version_t;
struct version {
    version_t *older;
    void *value;
    unsigned holders; /* the newest is held by fw_shared_t itself, too */
};

struct fw_shared {
    pthread_mutex_t mutex;
    version_t *newest;
    fw_shared_destroy_fn *destroy;
};

static void lock(fw_shared_t *self)
{
    int result = pthread_mutex_lock(&self->mutex);
    assert(result == 0);
    (void)result;
}

static void unlock(fw_shared_t *self)
{
    int result = pthread_mutex_unlock(&self->mutex);
    assert(result == 0);
    (void)result;
}

static version_t *make(void *value, version_t *older)
{
    version_t *version = fw_alloc(1, sizeof *version);
    *version = (version_t){older, value, 1};
    return version;
}

fw_shared_t *fw_shared_new(void *value, fw_shared_destroy_fn *destroy)
{
    fw_shared_t *self = fw_alloc(1, sizeof *self);
    int result = pthread_mutex_init(&self->mutex, NULL);
    assert(result == 0);
    (void)result;
    self->destroy = destroy;
    self->newest = make(value, NULL);
    return self;
}

/* One holder less; the version is destroyed when it was the last. */
static void release(fw_shared_t *self, version_t **place)
{
    version_t *version = *place;
    assert(version && version->holders > 0);
    if (--version->holders > 0)
        return;
    *place = version->older;
    self->destroy(version->value);
    free(version);
}

void fw_shared_destroy(fw_shared_t **self_p)
{
    fw_shared_t *self = *self_p;
    if (!self)
        return;
    assert(!self->newest->older && self->newest->holders == 1);
    release(self, &self->newest);
    (void)pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}

void fw_shared_put(fw_shared_t *self, void *value)
{
    lock(self);
    self->newest = make(value, self->newest);
    release(self, &self->newest->older);
    unlock(self);
}

const void *fw_shared_take(fw_shared_t *self)
{
    lock(self);
    self->newest->holders++;
    const void *value = self->newest->value;
    unlock(self);
    return value;
}

void fw_shared_give_back(fw_shared_t *self, const void *value)
{
    lock(self);
    version_t **place = &self->newest;
    while (*place && (*place)->value != value)
        place = &(*place)->older;
    release(self, place);
    unlock(self);
}
