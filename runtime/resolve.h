/* resolve.h - the addresses of a host name, without waiting for them.   SPDX-License-Identifier:
 * MPL-2.0
 * A name server that does not answer stops whoever asks it for half a minute: ZeroMQ asks in the
 * thread that moves the bytes of all sockets, hiredis in the actor that connects. So each look-up
 * has a short-lived thread of its own, and its owner asks now and then whether it has ended. A
 * look-up belongs to one thread; different threads may have look-ups at the same time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
    FW_ADDRESS_SIZE_MAX = 63,      /* IPv6 with its zone */
    FW_RESOLVE_ADDRESSES_MAX = 16, /* of one name; further ones are left out */
    FW_RESOLVE_HOST_SIZE_MAX = 255,
    FW_RESOLVE_THREADS_MAX = 64, /* of a process; a look-up beyond them fails at once */
    FW_RESOLVE_POLL_MS = 20,     /* how soon to ask again for a result */
};

/* Numeric, IPv4 before IPv6, each kind in the order of the name server: what is bound to 0.0.0.0
 * has no IPv6 address, also when its name has one ("localhost"). */
typedef struct {
    size_t count;
    char text[FW_RESOLVE_ADDRESSES_MAX][FW_ADDRESS_SIZE_MAX + 1];
} fw_addresses_t;

/* Who answers. look_up may wait as long as it likes, in a thread of its own: 0 and at least one
 * address, or a negative errno. */
typedef struct {
    int (*look_up)(void *context, const char *host, fw_addresses_t *ret_addresses);
    void *context;
} fw_resolver_t;

/* For the whole process, from the next look-up on; NULL = the C library. Must outlive its last
 * look-up. For tests, and for who has a resolver of his own. */
void fw_resolve_with(const fw_resolver_t *resolver);

/* False when the host is an address already. */
bool fw_resolve_needed(const char *host);

typedef struct fw_resolve fw_resolve_t;

/* Begins. 0; -EINVAL when the host is empty or too long; -EAGAIN when there are too many look-ups
 * or no thread can be made. */
int fw_resolve_start(const char *host, fw_resolve_t **ret_resolve)
    __attribute__((warn_unused_result));
/* 0; -EINPROGRESS; -EHOSTUNREACH when the name has no address or nobody knows it. */
int fw_resolve_result(const fw_resolve_t *self, fw_addresses_t *ret_addresses)
    __attribute__((warn_unused_result));
/* Never waits: a look-up that is under way ends by itself, and then frees itself. NULL-safe, sets
 * *self_p to NULL. */
void fw_resolve_destroy(fw_resolve_t **self_p);
/* Look-ups under way in this process, also those whose owner has gone. */
size_t fw_resolve_running(void);
