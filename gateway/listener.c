/* listener.c - see listener.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, HOST_SIZE_MAX = 64, PORT_SIZE_MAX = 5 };

/* Splits at the last colon and takes the brackets off an IPv6 address. */
static int split(const char *text, char host[HOST_SIZE_MAX], char port[PORT_SIZE_MAX + 1])
{
    const char *colon = strrchr(text, ':');
    if (!colon)
        return -EINVAL;
    size_t port_size = strlen(colon + 1);
    if (port_size == 0 || port_size > PORT_SIZE_MAX ||
        strspn(colon + 1, "0123456789") != port_size || strtol(colon + 1, NULL, 10) > UINT16_MAX)
        return -EINVAL;
    memcpy(port, colon + 1, port_size + 1);
    const char *begin = text;
    const char *end = colon;
    if (end - begin >= 2 && *begin == '[' && end[-1] == ']') {
        begin++;
        end--;
    } else if (memchr(begin, ':', (size_t)(end - begin))) {
        return -EINVAL;
    }
    size_t size = (size_t)(end - begin);
    if (size >= HOST_SIZE_MAX)
        return -EINVAL;
    memcpy(host, begin, size);
    host[size] = '\0';
    return 0;
}

static int listen_on(const struct addrinfo *address)
{
    static const int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int result = -errno;
        (void)close(fd);
        return result;
    }
    return fd;
}

_Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port),
               "one look serves both families");

static int port_of(int fd)
{
    struct sockaddr_in6 address = {.sin6_port = 0};
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return -errno;
    return ntohs(address.sin6_port);
}

int fw_listener_open(const char *text, int port, int *ret_fd, int *ret_port)
{
    char host[HOST_SIZE_MAX];
    char service[PORT_SIZE_MAX + 1];
    int result = split(text, host, service);
    if (result != 0)
        return result;
    if (port > 0 && port <= UINT16_MAX)
        (void)snprintf(service, sizeof service, "%u", (unsigned)port & UINT16_MAX);
    const char *name = host;
    if (!*host || strcmp(host, "*") == 0)
        name = NULL;
    else if (strcmp(host, "localhost") == 0)
        name = "127.0.0.1";
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *address = NULL;
    if (getaddrinfo(name, service, &hints, &address) != 0)
        return -EINVAL;
    int fd = listen_on(address);
    freeaddrinfo(address);
    if (fd < 0)
        return fd;
    result = port_of(fd);
    if (result < 0) {
        (void)close(fd);
        return result;
    }
    *ret_fd = fd;
    *ret_port = result;
    return 0;
}
