/* publishers.c - see publishers.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/publishers.h"

#include <assert.h>

#include "runtime/alloc.h"
#include "runtime/hash.h"

typedef struct publisher {
    UT_hash_handle hh;
    fw_peer_t peer;
    uint32_t outstanding;
    bool greeted;
    int64_t seen_us;
} publisher_t;

struct fw_publishers {
    publisher_t *table;
};

fw_publishers_t *fw_publishers_new(void)
{
    return fw_alloc(1, sizeof(fw_publishers_t));
}

static publisher_t *find(const fw_publishers_t *self, const fw_peer_t *peer)
{
    publisher_t *publisher;
    HASH_FIND(hh, self->table, peer->id, peer->size, publisher);
    return publisher;
}

static void forget(fw_publishers_t *self, publisher_t *publisher)
{
    HASH_DELETE(hh, self->table, publisher);
    free(publisher);
}

void fw_publishers_destroy(fw_publishers_t **self_p)
{
    if (!*self_p)
        return;
    while ((*self_p)->table)
        forget(*self_p, (*self_p)->table);
    free(*self_p);
    *self_p = NULL;
}

static publisher_t *see(fw_publishers_t *self, const fw_peer_t *peer, int64_t now_us)
{
    publisher_t *publisher = find(self, peer);
    if (!publisher) {
        publisher = fw_alloc(1, sizeof *publisher);
        publisher->peer = *peer;
        HASH_ADD_KEYPTR(hh, self->table, publisher->peer.id, publisher->peer.size, publisher);
    }
    publisher->seen_us = now_us;
    return publisher;
}

void fw_publishers_greet(fw_publishers_t *self, const fw_peer_t *peer, int64_t now_us)
{
    see(self, peer, now_us)->greeted = true;
}

bool fw_publishers_seen(fw_publishers_t *self, const fw_peer_t *peer, int64_t now_us)
{
    return see(self, peer, now_us)->greeted;
}

void fw_publishers_gone(fw_publishers_t *self, const fw_peer_t *peer)
{
    publisher_t *publisher = find(self, peer);
    if (publisher)
        forget(self, publisher);
}

uint32_t fw_publishers_begin(fw_publishers_t *self, const fw_peer_t *peer)
{
    publisher_t *publisher = find(self, peer);
    assert(publisher);
    return ++publisher->outstanding;
}

bool fw_publishers_end(fw_publishers_t *self, const fw_peer_t *peer)
{
    publisher_t *publisher = find(self, peer);
    if (!publisher)
        return false;
    /* 0: it was taken for gone since, and is back. */
    if (publisher->outstanding > 0)
        publisher->outstanding--;
    return true;
}

void fw_publishers_remove_silent(fw_publishers_t *self, int64_t silence_us_max, int64_t now_us)
{
    publisher_t *publisher, *next;
    HASH_ITER(hh, self->table, publisher, next)
    {
        if (now_us - publisher->seen_us > silence_us_max)
            forget(self, publisher);
    }
}

void fw_publishers_each(const fw_publishers_t *self, fw_publishers_each_fn *each, void *context)
{
    for (const publisher_t *publisher = self->table; publisher; publisher = publisher->hh.next)
        each(context, &publisher->peer);
}

size_t fw_publishers_count(const fw_publishers_t *self)
{
    return HASH_COUNT(self->table);
}
