/* cut.c - see cut.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/cut.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/socket.h"

in_port_t fw_cut_port(zsock_t *bound)
{
    in_port_t port = 0;
    char *endpoint = fw_socket_endpoint(bound);
    const char *colon = endpoint ? strrchr(endpoint, ':') : NULL;
    if (colon && strncmp(endpoint, "tcp://", strlen("tcp://")) == 0)
        port = (in_port_t)strtoul(colon + 1, NULL, 10);
    free(endpoint);
    return port;
}

static in_port_t local_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } address = {.any = {0}};
    socklen_t size = sizeof address;
    if (getsockname(fd, &address.any, &size) != 0)
        return 0;
    if (address.any.sa_family == AF_INET)
        return ntohs(address.ipv4.sin_port);
    return address.any.sa_family == AF_INET6 ? ntohs(address.ipv6.sin6_port) : 0;
}

bool fw_cut(int fd, in_port_t port)
{
    /* The copy keeps the connection the same one between the look and the deed. */
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return false;
    bool done = port != 0 && local_port(copy) == port && shutdown(copy, SHUT_RDWR) == 0;
    (void)close(copy);
    return done;
}
