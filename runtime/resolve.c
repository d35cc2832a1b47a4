/* resolve.c - the addresses of a host name, without waiting for them.   SPDX-License-Identifier:
 * MPL-2.0
 * Not getaddrinfo_a: its threads cannot be called back, so a look-up that outlives its owner keeps
 * its memory for ever, and the thread sanitizer does not know them. */
#include "runtime/resolve.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/alloc.h"

enum { STACK_BYTES = 256 * 1024 /* getaddrinfo keeps its packets on the stack */ };

struct fw_resolve {
    atomic_int holders; /* its owner and its thread; the last one frees it */
    atomic_int result;  /* -EINPROGRESS until addresses are written */
    const fw_resolver_t *resolver;
    char *host;
    fw_addresses_t addresses;
};

static atomic_size_t running;
static _Atomic(const fw_resolver_t *) chosen;

static void add_family(const struct addrinfo *found, int family, fw_addresses_t *addresses)
{
    for (; found && addresses->count < FW_RESOLVE_ADDRESSES_MAX; found = found->ai_next) {
        char *text = addresses->text[addresses->count];
        if (found->ai_family == family &&
            getnameinfo(found->ai_addr, found->ai_addrlen, text, FW_ADDRESS_SIZE_MAX + 1, NULL, 0,
                        NI_NUMERICHOST) == 0)
            addresses->count++;
    }
}

static int ask_library(void *context, const char *host, fw_addresses_t *ret_addresses)
{
    (void)context;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return -EHOSTUNREACH;
    add_family(found, AF_INET, ret_addresses);
    add_family(found, AF_INET6, ret_addresses);
    freeaddrinfo(found);
    return ret_addresses->count > 0 ? 0 : -EHOSTUNREACH;
}

static const fw_resolver_t library = {.look_up = ask_library};

void fw_resolve_with(const fw_resolver_t *resolver)
{
    atomic_store(&chosen, resolver);
}

bool fw_resolve_needed(const char *host)
{
    struct in6_addr address;
    size_t size = strcspn(host, "%"); /* a zone ends an address */
    char plain[FW_ADDRESS_SIZE_MAX + 1] = "";
    if (size > FW_ADDRESS_SIZE_MAX)
        return true;
    memcpy(plain, host, size);
    return inet_pton(AF_INET, plain, &address) != 1 && inet_pton(AF_INET6, plain, &address) != 1;
}

static void let_go(fw_resolve_t *self)
{
    if (atomic_fetch_sub(&self->holders, 1) > 1)
        return;
    free(self->host);
    free(self);
}

static void *run(void *args)
{
    fw_resolve_t *self = args;
    (void)pthread_setname_np(pthread_self(), "resolve");
    int result = self->resolver->look_up(self->resolver->context, self->host, &self->addresses);
    if (result == 0 && self->addresses.count == 0)
        result = -EHOSTUNREACH;
    atomic_store(&self->result, result == -EINPROGRESS ? -EHOSTUNREACH : result);
    let_go(self);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

/* Its thread gets no signal: they are for whoever waits for them. */
static int start_thread(fw_resolve_t *self)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    int result = pthread_attr_init(&attributes);
    assert(result == 0);
    result = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    assert(result == 0);
    result = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    assert(result == 0);
    result = pthread_sigmask(SIG_SETMASK, &all, &before);
    assert(result == 0);
    int created = pthread_create(&thread, &attributes, run, self);
    result = pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert(result == 0);
    (void)result;
    (void)pthread_attr_destroy(&attributes);
    return created == 0 ? 0 : -EAGAIN;
}

int fw_resolve_start(const char *host, fw_resolve_t **ret_resolve)
{
    size_t size = strnlen(host, FW_RESOLVE_HOST_SIZE_MAX + 1);
    if (size == 0 || size > FW_RESOLVE_HOST_SIZE_MAX)
        return -EINVAL;
    if (atomic_fetch_add(&running, 1) >= FW_RESOLVE_THREADS_MAX) {
        atomic_fetch_sub(&running, 1);
        return -EAGAIN;
    }
    fw_resolve_t *self = fw_alloc(1, sizeof *self);
    const fw_resolver_t *resolver = atomic_load(&chosen);
    self->resolver = resolver ? resolver : &library;
    self->host = fw_copy_text(host, size);
    atomic_init(&self->holders, 2);
    atomic_init(&self->result, -EINPROGRESS);
    int result = start_thread(self);
    if (result != 0) {
        atomic_fetch_sub(&running, 1);
        atomic_store(&self->holders, 1); /* no thread is one */
        let_go(self);
        return result;
    }
    *ret_resolve = self;
    return 0;
}

int fw_resolve_result(const fw_resolve_t *self, fw_addresses_t *ret_addresses)
{
    int result = atomic_load(&self->result);
    if (result == -EINPROGRESS)
        return result;
    if (result != 0)
        return -EHOSTUNREACH;
    *ret_addresses = self->addresses;
    return 0;
}

void fw_resolve_destroy(fw_resolve_t **self_p)
{
    if (*self_p)
        let_go(*self_p);
    *self_p = NULL;
}

size_t fw_resolve_running(void)
{
    return atomic_load(&running);
}
