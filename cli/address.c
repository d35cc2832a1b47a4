/* address.c - addresses that this process listens on.   SPDX-License-Identifier: MPL-2.0 */
#include "cli/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/listen.h"

int fw_address_check(const char *listen)
{
    const char *colon = strrchr(listen, ':');
    int fd = -1;
    int port = 0;
    int result = fw_listen(listen, 1, &fd, &port);
    if (result == 0)
        (void)close(fd);
    /* A name is no error here: its owner may know how to look it up. */
    return colon && strcmp(colon, ":0") == 0 ? 0 : result;
}

/* The host part, with every-address hosts replaced. */
static void reachable_host(const char *listen, char *host, size_t size)
{
    const char *colon = strrchr(listen, ':');
    size_t length = colon ? (size_t)(colon - listen) : strlen(listen);
    if (length >= size)
        length = size - 1;
    memcpy(host, listen, length);
    host[length] = '\0';
    if (!*host || strcmp(host, "*") == 0 || strcmp(host, "0.0.0.0") == 0 ||
        strcmp(host, "[::]") == 0)
        (void)snprintf(host, size, "127.0.0.1");
}

void fw_address_url(const char *scheme, const char *listen, int port, char ret_url[FW_URL_SIZE_MAX])
{
    char host[256];
    reachable_host(listen, host, sizeof host);
    (void)snprintf(ret_url, FW_URL_SIZE_MAX, "%s://%s:%d", scheme, host, port);
}

void fw_address_endpoint(const char *endpoint, char ret_endpoint[FW_URL_SIZE_MAX])
{
    static const char scheme[] = "tcp://";
    const char *colon = strrchr(endpoint, ':');
    if (strncmp(endpoint, scheme, strlen(scheme)) != 0 || !colon) {
        (void)snprintf(ret_endpoint, FW_URL_SIZE_MAX, "%s", endpoint);
        return;
    }
    fw_address_url("tcp", endpoint + strlen(scheme), (int)strtol(colon + 1, NULL, 10),
                   ret_endpoint);
}
