/* users.c - see users.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/users.h"

#include <assert.h>
#include <stdlib.h>

#include <xxhash.h>

#include "runtime/alloc.h"

enum { CAPACITY_MIN = 16 };

struct fw_users {
    fw_session_t **chains;
    size_t capacity; /* a power of 2 */
    size_t count;
    uint64_t seed;
};

fw_users_t *fw_users_new(uint64_t seed)
{
    fw_users_t *self = fw_alloc(1, sizeof *self);
    self->seed = seed;
    self->capacity = CAPACITY_MIN;
    self->chains = fw_alloc(self->capacity, sizeof *self->chains);
    return self;
}

void fw_users_destroy(fw_users_t **self_p)
{
    fw_users_t *self = *self_p;
    if (!self)
        return;
    assert(self->count == 0);
    free(self->chains);
    free(self);
    *self_p = NULL;
}

static fw_session_t **chain_of(const fw_users_t *self, fw_text_t user)
{
    uint64_t hash = XXH3_64bits_withSeed(user.text, user.size, self->seed);
    return &self->chains[hash & (self->capacity - 1)];
}

static void link_in(fw_users_t *self, fw_session_t *session)
{
    fw_session_t **chain = chain_of(self, fw_session_user(session));
    session->next_of_user = *chain;
    *chain = session;
}

/* Half the size again only when a quarter is used, so that it does not swing. */
static void resize(fw_users_t *self, size_t capacity)
{
    fw_session_t **old = self->chains;
    size_t old_capacity = self->capacity;
    self->chains = fw_alloc(capacity, sizeof *self->chains);
    self->capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++) {
        for (fw_session_t *session = old[i], *next; session; session = next) {
            next = session->next_of_user;
            link_in(self, session);
        }
    }
    free(old);
}

void fw_users_add(fw_users_t *self, fw_session_t *session)
{
    if (session->indexed || fw_session_user(session).size == 0)
        return;
    if (self->count == self->capacity)
        resize(self, self->capacity * 2);
    session->indexed = true;
    link_in(self, session);
    self->count++;
}

void fw_users_remove(fw_users_t *self, fw_session_t *session)
{
    if (!session->indexed)
        return;
    fw_session_t **at = chain_of(self, fw_session_user(session));
    while (*at != session)
        at = &(*at)->next_of_user;
    *at = session->next_of_user;
    session->next_of_user = NULL;
    session->indexed = false;
    self->count--;
    if (self->capacity > CAPACITY_MIN && self->count < self->capacity / 4)
        resize(self, self->capacity / 2);
}

static fw_session_t *find(fw_session_t *session, fw_text_t user)
{
    while (session && !fw_text_equal(fw_session_user(session), user))
        session = session->next_of_user;
    return session;
}

fw_session_t *fw_users_first(const fw_users_t *self, fw_text_t user)
{
    return find(*chain_of(self, user), user);
}

fw_session_t *fw_users_next(const fw_session_t *session)
{
    return find(session->next_of_user, fw_session_user(session));
}

size_t fw_users_count(const fw_users_t *self)
{
    return self->count;
}

size_t fw_users_bytes(const fw_users_t *self)
{
    return sizeof *self + self->capacity * sizeof *self->chains;
}
