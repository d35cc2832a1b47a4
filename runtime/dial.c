/* dial.c - which address a connecting socket is to connect to now.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "runtime/dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"

#define TCP "tcp://"

typedef char address_t[FW_ADDRESS_SIZE_MAX + 1];

struct fw_dial {
    char *endpoint;
    char *host;       /* NULL when there is nothing to look up */
    const char *port; /* in endpoint, behind the host's colon */
    fw_resolve_t *look_up;
    int64_t asked_ms;
    address_t tried[FW_RESOLVE_ADDRESSES_MAX]; /* since the last answer of the peer */
    size_t tried_count;
    bool unanswered;     /* the endpoint without a name was given out, and nobody answered since */
    unsigned server_key; /* grows when all that there is was tried */
    address_t address;   /* chosen last; "" before */
    address_t good;      /* of the peer that answered last; "" = none yet */
    char numeric[sizeof TCP + FW_ADDRESS_SIZE_MAX + sizeof "[]:65535"];
};

static bool is_port(const char *text)
{
    size_t size = strlen(text);
    return size >= 1 && size <= 5 && strspn(text, "0123456789") == size &&
           strtol(text, NULL, 10) >= 1 && strtol(text, NULL, 10) <= 65535;
}

/* The name between tcp:// and the last colon, or NULL when it is an address. */
static int take_host(fw_dial_t *self)
{
    if (strncmp(self->endpoint, TCP, strlen(TCP)) != 0)
        return 0;
    const char *begin = self->endpoint + strlen(TCP);
    const char *colon = strrchr(begin, ':');
    if (!colon || colon == begin || !is_port(colon + 1))
        return -EINVAL;
    self->port = colon + 1;
    if (*begin == '[' || *begin == '*')
        return 0;
    char *host = fw_copy_text(begin, (size_t)(colon - begin));
    if (strpbrk(host, ":;/ ")) {
        free(host);
        return -EINVAL;
    }
    if (fw_resolve_needed(host))
        self->host = host;
    else
        free(host);
    return 0;
}

int fw_dial_new(const char *endpoint, fw_dial_t **ret_dial)
{
    size_t size = strnlen(endpoint, FW_DIAL_ENDPOINT_SIZE_MAX + 1);
    if (size == 0 || size > FW_DIAL_ENDPOINT_SIZE_MAX || strchr(endpoint, ',') ||
        !strstr(endpoint, "://"))
        return -EINVAL;
    fw_dial_t *self = fw_alloc(1, sizeof *self);
    self->endpoint = fw_copy_text(endpoint, size);
    int result = take_host(self);
    if (result != 0) {
        fw_dial_destroy(&self);
        return result;
    }
    *ret_dial = self;
    return 0;
}

void fw_dial_destroy(fw_dial_t **self_p)
{
    fw_dial_t *self = *self_p;
    if (!self)
        return;
    fw_resolve_destroy(&self->look_up);
    free(self->host);
    free(self->endpoint);
    free(self);
    *self_p = NULL;
}

static bool was_tried(const fw_dial_t *self, const char *address)
{
    for (size_t i = 0; i < self->tried_count; i++)
        if (strcmp(self->tried[i], address) == 0)
            return true;
    return false;
}

static bool has(const fw_addresses_t *addresses, const char *address)
{
    for (size_t i = 0; i < addresses->count; i++)
        if (strcmp(addresses->text[i], address) == 0)
            return true;
    return false;
}

/* The first one that was not tried; all over again when all were. */
static const char *choose(fw_dial_t *self, const fw_addresses_t *addresses)
{
    if (has(addresses, self->good) && !was_tried(self, self->good))
        return self->good;
    for (size_t i = 0; i < addresses->count; i++)
        if (!was_tried(self, addresses->text[i]))
            return addresses->text[i];
    self->tried_count = 0;
    self->server_key++;
    return addresses->text[0];
}

static void use(fw_dial_t *self, const char *address)
{
    bool ipv6 = strchr(address, ':') != NULL;
    if (address != self->address)
        (void)snprintf(self->address, sizeof self->address, "%s", address);
    (void)snprintf(self->numeric, sizeof self->numeric, ipv6 ? TCP "[%s]:%s" : TCP "%s:%s",
                   self->address, self->port);
    if (self->tried_count == FW_RESOLVE_ADDRESSES_MAX)
        self->tried_count = 0;
    memcpy(self->tried[self->tried_count++], self->address, sizeof self->address);
}

/* What is known is better than nothing. */
static int fall_back(fw_dial_t *self, int result)
{
    if (self->good[0] == 0)
        return result;
    if (was_tried(self, self->good)) {
        self->tried_count = 0;
        self->server_key++;
    }
    use(self, self->good);
    return 0;
}

static int look_up(fw_dial_t *self, int64_t now_ms)
{
    if (!self->look_up) {
        int result = fw_resolve_start(self->host, &self->look_up);
        if (result != 0)
            return fall_back(self, result);
        self->asked_ms = now_ms;
    }
    fw_addresses_t addresses;
    int result = fw_resolve_result(self->look_up, &addresses);
    /* One that is late goes on: its answer serves the next socket. */
    if (result == -EINPROGRESS)
        return now_ms - self->asked_ms < FW_DIAL_STALE_MS ? result : fall_back(self, result);
    fw_resolve_destroy(&self->look_up);
    if (result != 0)
        return fall_back(self, result);
    use(self, choose(self, &addresses));
    return 0;
}

int fw_dial_next(fw_dial_t *self, int64_t now_ms, const char **ret_endpoint)
{
    if (!self->host) {
        self->server_key += self->unanswered;
        self->unanswered = true;
        *ret_endpoint = self->endpoint;
        return 0;
    }
    int result = look_up(self, now_ms);
    if (result == 0)
        *ret_endpoint = self->numeric;
    return result;
}

int fw_dial_beside(fw_dial_t *self, const fw_dial_t *leader, int64_t now_ms,
                   const char **ret_endpoint)
{
    if (!self->host || !leader->host || strcmp(self->host, leader->host) != 0 ||
        leader->address[0] == 0)
        return fw_dial_next(self, now_ms, ret_endpoint);
    use(self, leader->address);
    *ret_endpoint = self->numeric;
    return 0;
}

unsigned fw_dial_server_key(const fw_dial_t *self)
{
    return self->server_key;
}

void fw_dial_answered(fw_dial_t *self)
{
    self->unanswered = false;
    self->tried_count = 0;
    memcpy(self->good, self->address, sizeof self->good);
}
