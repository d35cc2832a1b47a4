/* listen.c - a listening TCP socket from "host:port".   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOST_SIZE_MAX = 64, PORT_MAX = 65535 };

/* Splits at the last colon and takes the brackets off an IPv6 address. */
static int split(const char *text, char host[HOST_SIZE_MAX], const char **ret_port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return -EINVAL;
    size_t port_size = strlen(colon + 1);
    if (port_size == 0 || port_size > 5 || strtol(colon + 1, NULL, 10) > PORT_MAX)
        return -EINVAL;
    const char *begin = text;
    size_t size = (size_t)(colon - text);
    bool brackets = size >= 2 && begin[0] == '[' && begin[size - 1] == ']';
    if (brackets) {
        begin++;
        size -= 2;
    }
    if ((brackets && size == 0) || size >= HOST_SIZE_MAX || (!brackets && memchr(begin, ':', size)))
        return -EINVAL;
    memcpy(host, begin, size);
    host[size] = 0;
    *ret_port = colon + 1;
    return 0;
}

static int open_listener(const struct addrinfo *address, int backlog)
{
    static const int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* A restart must not wait for the connections of the process before to time out. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, backlog) != 0) {
        int result = -errno;
        (void)close(fd);
        return result;
    }
    return fd;
}

static int port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } address = {.any = {0}};
    socklen_t size = sizeof address;
    if (getsockname(fd, &address.any, &size) != 0)
        return -errno;
    return ntohs(address.any.sa_family == AF_INET6 ? address.six.sin6_port : address.four.sin_port);
}

int fw_listen(const char *text, int backlog, int *ret_fd, int *ret_port)
{
    char host[HOST_SIZE_MAX];
    const char *port = NULL;
    int result = split(text, host, &port);
    if (result != 0)
        return result;
    const char *name = host;
    if (!*host || strcmp(host, "*") == 0)
        name = NULL;
    else if (strcmp(host, "localhost") == 0)
        name = "127.0.0.1";
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *address = NULL;
    if (getaddrinfo(name, port, &hints, &address) != 0)
        return -EINVAL;
    int fd = open_listener(address, backlog);
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
