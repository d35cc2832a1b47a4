/* redis_resolve.c - a host's address, without waiting for it.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/redis_resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/alloc.h"

struct fw_redis_resolve {
    struct gaicb request; /* read and written by a thread of the C library until it is done */
    struct addrinfo hints;
    char *host;
    int status; /* under the thread sanitizer: what getaddrinfo said */
};

bool fw_redis_resolve_needed(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) != 1 && inet_pton(AF_INET6, host, &address) != 1;
}

static void free_all(fw_redis_resolve_t *self)
{
    if (self->request.ar_result) {
        freeaddrinfo(self->request.ar_result);
    }
    free(self->host);
    free(self);
}

#if defined(__SANITIZE_THREAD__)
/* The thread sanitizer crashes in threads that the C library makes for itself: under it the look-up
 * is done at once. */
static int begin(fw_redis_resolve_t *self)
{
    self->status =
        getaddrinfo(self->host, NULL, self->request.ar_request, &self->request.ar_result);
    return 0;
}

static int status_of(fw_redis_resolve_t *self)
{
    return self->status;
}
#else
static int begin(fw_redis_resolve_t *self)
{
    struct gaicb *requests[] = {&self->request};
    struct sigevent quiet = {.sigev_notify = SIGEV_NONE};
    return getaddrinfo_a(GAI_NOWAIT, requests, 1, &quiet);
}

static int status_of(fw_redis_resolve_t *self)
{
    return gai_error(&self->request);
}
#endif

fw_redis_resolve_t *fw_redis_resolve_start(const char *host)
{
    fw_redis_resolve_t *self = fw_alloc(1, sizeof(*self));
    self->host = fw_copy_text(host, strlen(host));
    self->hints = (struct addrinfo){.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    self->request = (struct gaicb){.ar_name = self->host, .ar_request = &self->hints};
    if (begin(self) != 0) {
        free_all(self);
        return NULL;
    }
    return self;
}

int fw_redis_resolve_result(fw_redis_resolve_t *self, char ret_address[INET6_ADDRSTRLEN])
{
    int status = status_of(self);
    if (status == EAI_INPROGRESS) {
        return -EINPROGRESS;
    }
    if (status != 0 || !self->request.ar_result) {
        return -EHOSTUNREACH;
    }
    const struct addrinfo *first = self->request.ar_result;
    return getnameinfo(first->ai_addr, first->ai_addrlen, ret_address, INET6_ADDRSTRLEN, NULL, 0,
                       NI_NUMERICHOST) == 0
               ? 0
               : -EHOSTUNREACH;
}

void fw_redis_resolve_destroy(fw_redis_resolve_t **self_p)
{
    fw_redis_resolve_t *self = *self_p;
    *self_p = NULL;
    if (!self) {
        return;
    }
    if (status_of(self) == EAI_INPROGRESS && gai_cancel(&self->request) == EAI_NOTCANCELED &&
        status_of(self) == EAI_INPROGRESS) {
        return;
    }
    free_all(self);
}
