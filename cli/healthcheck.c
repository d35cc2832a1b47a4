/* healthcheck.c - freshwire healthcheck: asks the admin port of a running process.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "cli/address.h"
#include "cli/command.h"

enum { TIMEOUT_S = 3, RESPONSE_SIZE_MAX = 16 * 1024 };

/* A connected socket or a negative errno. Every step, a name's look-up apart, ends after TIMEOUT_S.
 */
static int connect_to(const char *host, const char *port)
{
    static const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return -EHOSTUNREACH;
    int result = -EHOSTUNREACH;
    for (const struct addrinfo *at = found; at && result < 0; at = at->ai_next) {
        int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            result = -errno;
            continue;
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
        if (connect(fd, at->ai_addr, at->ai_addrlen) == 0) {
            result = fd;
        } else {
            result = errno == EINPROGRESS ? -ETIMEDOUT : -errno;
            (void)close(fd);
        }
    }
    freeaddrinfo(found);
    return result;
}

/* Sends a GET and reads the answer, with a closing 0. Its size or a negative errno. */
static ssize_t ask(int fd, const char *host, const char *path, char response[RESPONSE_SIZE_MAX])
{
    if (dprintf(fd, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host) < 0)
        return -errno;
    size_t size = 0;
    while (size < RESPONSE_SIZE_MAX - 1) {
        ssize_t got = recv(fd, response + size, RESPONSE_SIZE_MAX - 1 - size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? -ETIMEDOUT : -errno;
        if (got == 0)
            break;
        size += (size_t)got;
    }
    response[size] = '\0';
    return (ssize_t)size;
}

/* "http://127.0.0.1:9090" or "127.0.0.1:9090" to host and port. */
static bool split(const char *address, char host[256], char port[8])
{
    char url[FW_URL_SIZE_MAX];
    const char *colon = strrchr(address, ':');
    if (!colon || strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon) < 2 ||
        strlen(colon) > 6)
        return false;
    if (strncmp(address, "http://", 7) == 0)
        address += 7;
    fw_address_url("http", address, (int)strtol(colon + 1, NULL, 10), url);
    const char *begin = url + strlen("http://");
    size_t size = (size_t)(strrchr(url, ':') - begin);
    if (size >= 2 && begin[0] == '[') {
        begin++;
        size -= 2;
    }
    if (size >= 256)
        return false;
    memcpy(host, begin, size);
    host[size] = '\0';
    (void)snprintf(port, 8, "%s", colon + 1);
    return true;
}

/* The status of "HTTP/1.1 200 …"; 0 when this is no HTTP. */
static long status_of(const char *response)
{
    const char *space = strchr(response, ' ');
    if (strncmp(response, "HTTP/", strlen("HTTP/")) != 0 || !space)
        return 0;
    return strtol(space + 1, NULL, 10);
}

static fw_exit_t judge(const char *address, const char *path, const char *response)
{
    long status = status_of(response);
    if (status == 0) {
        fw_complain("is that freshwire's admin port?", "%s does not speak HTTP", address);
        return FW_EXIT_FAILURE;
    }
    const char *body = strstr(response, "\r\n\r\n");
    body = body ? body + 4 : "";
    (void)printf("%s: %s: %.*s\n", path + 1, status == 200 ? "ok" : "not ok",
                 (int)strcspn(body, "\r\n"), body);
    return status == 200 ? FW_EXIT_OK : FW_EXIT_FAILURE;
}

fw_exit_t fw_healthcheck_command(const fw_call_t *call)
{
    const char *given = fw_arguments_text(call->arguments, "admin");
    const char *address = given ? given : fw_config_text(call->config, "admin.listen");
    const char *path = fw_arguments_flag(call->arguments, "ready") ? "/readyz" : "/healthz";
    char host[256];
    char port[8];
    if (!split(address, host, port)) {
        fw_complain("for example: freshwire healthcheck --admin 127.0.0.1:9090",
                    "\"%.100s\" is not host:port", address);
        return FW_EXIT_USAGE;
    }
    char response[RESPONSE_SIZE_MAX];
    int fd = connect_to(host, port);
    ssize_t size = fd >= 0 ? ask(fd, host, path, response) : fd;
    if (fd >= 0)
        (void)close(fd);
    if (size < 0) {
        fw_complain("does freshwire run there, and is this its admin.listen?",
                    "nothing answers at %s: %s", address, strerror((int)-size));
        return FW_EXIT_FAILURE;
    }
    return judge(address, path, response);
}
