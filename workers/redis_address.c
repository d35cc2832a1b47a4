/* redis_address.c - where Redis is and how to log in.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/redis_address.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { PORT_MAX = 65535, DATABASE_MAX = 9999 };

/* A part of the URL that is still to be read. */
typedef struct {
    const char *text;
    size_t size;
} part_t;

static part_t part_of(const char *begin, const char *end)
{
    return (part_t){begin, (size_t)(end - begin)};
}

static int copy(part_t part, char *ret_text, size_t size_max)
{
    if (part.size == 0 || part.size > size_max) {
        return -EINVAL;
    }
    memcpy(ret_text, part.text, part.size);
    ret_text[part.size] = 0;
    return 0;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    int lower = tolower((unsigned char)digit);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Copies a part, which may be empty, with %XX decoded. */
static int copy_decoded(part_t part, char *ret_text, size_t size_max)
{
    size_t size = 0;
    for (size_t i = 0; i < part.size; i++, size++) {
        char byte = part.text[i];
        if (byte == '%') {
            int high = i + 2 < part.size ? hex_digit(part.text[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(part.text[i + 2]) : -1;
            if (low < 0 || high * 16 + low == 0) {
                return -EINVAL;
            }
            byte = (char)(high * 16 + low);
            i += 2;
        }
        if (size == size_max) {
            return -EINVAL;
        }
        ret_text[size] = byte;
    }
    ret_text[size] = 0;
    return 0;
}

static int parse_number(part_t part, int max, int *ret_number)
{
    if (part.size == 0) {
        return -EINVAL;
    }
    int number = 0;
    for (size_t i = 0; i < part.size; i++) {
        if (part.text[i] < '0' || part.text[i] > '9') {
            return -EINVAL;
        }
        number = number * 10 + (part.text[i] - '0');
        if (number > max) {
            return -EINVAL;
        }
    }
    *ret_number = number;
    return 0;
}

/* Reads "[user]:password@" if it is there; *rest_p is then what follows it. */
static int parse_login(part_t *rest_p, fw_redis_address_t *address, const char **ret_reason)
{
    const char *end = rest_p->text + rest_p->size;
    const char *at = memrchr(rest_p->text, '@', rest_p->size);
    if (!at || rest_p->text[0] == '/') {
        return 0;
    }
    part_t login = part_of(rest_p->text, at);
    const char *colon = memchr(login.text, ':', login.size);
    *ret_reason = "user and password must be \"user:password@\" or \":password@\", percent-encoded";
    if (!colon || copy_decoded(part_of(login.text, colon), address->user, FW_REDIS_USER_SIZE_MAX) ||
        copy_decoded(part_of(colon + 1, at), address->password, FW_REDIS_PASSWORD_SIZE_MAX) ||
        !address->password[0]) {
        return -EINVAL;
    }
    *rest_p = part_of(at + 1, end);
    return 0;
}

static int parse_socket(part_t rest, fw_redis_address_t *address, const char **ret_reason)
{
    const char *end = rest.text + rest.size;
    const char *query = memchr(rest.text, '?', rest.size);
    part_t path = part_of(rest.text, query ? query : end);
    *ret_reason = "the path of the socket must begin with / and have at most 107 bytes";
    if (path.size == 0 || path.text[0] != '/' ||
        copy(path, address->path, FW_REDIS_PATH_SIZE_MAX)) {
        return -EINVAL;
    }
    if (!query) {
        return 0;
    }
    *ret_reason = "after the path only ?db=number may follow";
    part_t database = part_of(query + 1, end);
    if (database.size < 3 || memcmp(database.text, "db=", 3) != 0) {
        return -EINVAL;
    }
    return parse_number(part_of(database.text + 3, end), DATABASE_MAX, &address->database);
}

/* Splits "host", "host:port" or "[v6]:port"; *ret_port is empty when there is none. */
static bool split_host(part_t rest, part_t *ret_host, part_t *ret_port)
{
    const char *end = rest.text + rest.size;
    const char *host_end;
    if (rest.size > 0 && rest.text[0] == '[') {
        host_end = memchr(rest.text, ']', rest.size);
        if (!host_end) {
            return false;
        }
        *ret_host = part_of(rest.text + 1, host_end);
        host_end++;
    } else {
        host_end = memchr(rest.text, ':', rest.size);
        host_end = host_end ? host_end : end;
        *ret_host = part_of(rest.text, host_end);
    }
    *ret_port = part_of(host_end, end);
    return ret_port->size == 0 || ret_port->text[0] == ':';
}

static int parse_host(part_t rest, fw_redis_address_t *address, const char **ret_reason)
{
    const char *end = rest.text + rest.size;
    const char *slash = memchr(rest.text, '/', rest.size);
    part_t host;
    part_t port;
    *ret_reason = "the host is missing, too long or not closed with a bracket";
    if (!split_host(part_of(rest.text, slash ? slash : end), &host, &port) ||
        copy(host, address->host, FW_REDIS_HOST_SIZE_MAX)) {
        return -EINVAL;
    }
    address->port = FW_REDIS_PORT;
    *ret_reason = "the port must be a number from 1 to 65535";
    if (port.size > 0 &&
        (parse_number(part_of(port.text + 1, port.text + port.size), PORT_MAX, &address->port) ||
         address->port == 0)) {
        return -EINVAL;
    }
    *ret_reason = "the database must be a number";
    if (slash && slash + 1 < end) {
        return parse_number(part_of(slash + 1, end), DATABASE_MAX, &address->database);
    }
    return 0;
}

int fw_redis_address_parse(const char *url, fw_redis_address_t *ret_address,
                           const char **ret_reason)
{
    static const char tcp[] = "redis://";
    static const char local[] = "unix://";
    static const char tls[] = "rediss://";
    fw_redis_address_t address = {.port = 0};
    bool is_tcp = strncmp(url, tcp, sizeof(tcp) - 1) == 0;
    bool is_local = strncmp(url, local, sizeof(local) - 1) == 0;
    if (!is_tcp && !is_local) {
        *ret_reason = strncmp(url, tls, sizeof(tls) - 1) == 0
                          ? "rediss:// is not supported: this hiredis has no TLS"
                          : "must begin with redis:// or unix://";
        return -EINVAL;
    }
    const char *begin = url + (is_tcp ? sizeof(tcp) : sizeof(local)) - 1;
    part_t rest = {begin, strlen(begin)};
    int result = parse_login(&rest, &address, ret_reason);
    if (result == 0) {
        result = is_tcp ? parse_host(rest, &address, ret_reason)
                        : parse_socket(rest, &address, ret_reason);
    }
    if (result == 0) {
        *ret_address = address;
    }
    return result;
}
