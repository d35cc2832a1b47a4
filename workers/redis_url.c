/* redis_url.c - which Redis to purge, of whatever topology.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/redis_url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_MAX = 65535, DATABASE_MAX = 9999, URL_SIZE_MAX = 8192 };

static const struct {
    const char *scheme;
    fw_redis_topology_t topology;
} schemes[] = {
    {"sentinel://", FW_REDIS_SENTINEL},
    {"redis+sentinel://", FW_REDIS_SENTINEL},
    {"cluster://", FW_REDIS_CLUSTER},
    {"redis+cluster://", FW_REDIS_CLUSTER},
};

/* Reads one host as if it were a URL of its own, so that its rules are written down once. */
static int parse_seed(const char *login, size_t login_size, const char *host, size_t host_size,
                      fw_redis_url_t *url, const char **ret_reason)
{
    if (url->seeds_count == FW_REDIS_SEEDS_MAX) {
        *ret_reason = "at most 8 hosts";
        return -EINVAL;
    }
    if (memchr(host, '/', host_size)) {
        *ret_reason = "a host must not hold a slash";
        return -EINVAL;
    }
    char text[URL_SIZE_MAX];
    int size = snprintf(text, sizeof(text), "redis://%.*s%.*s", (int)login_size, login,
                        (int)host_size, host);
    *ret_reason = "is too long";
    fw_redis_address_t *seed = &url->seeds[url->seeds_count++];
    if (size < 0 || (size_t)size >= sizeof(text)) {
        return -EINVAL;
    }
    int result = fw_redis_address_parse(text, seed, ret_reason);
    explicit_bzero(text, sizeof(text));
    return result;
}

/* Has the host a port of its own? What follows a bracket, or the only colon. */
static bool has_port(const char *host, size_t size)
{
    const char *bracket = memrchr(host, ']', size);
    const char *from = bracket ? bracket : host;
    return memchr(from, ':', size - (size_t)(from - host)) != NULL;
}

static int parse_seeds(const char *login, size_t login_size, const char *hosts, size_t size,
                       fw_redis_url_t *url, const char **ret_reason)
{
    const char *end = hosts + size;
    for (const char *host = hosts;;) {
        const char *comma = memchr(host, ',', (size_t)(end - host));
        size_t host_size = (size_t)((comma ? comma : end) - host);
        int result = parse_seed(login, login_size, host, host_size, url, ret_reason);
        if (result != 0) {
            return result;
        }
        fw_redis_address_t *seed = &url->seeds[url->seeds_count - 1];
        if (url->topology == FW_REDIS_SENTINEL && !has_port(host, host_size)) {
            seed->port = FW_REDIS_SENTINEL_PORT;
        }
        if (!comma) {
            return 0;
        }
        host = comma + 1;
    }
}

/* Reads "name" or "name/database". */
static int parse_master(const char *text, fw_redis_url_t *url, const char **ret_reason)
{
    const char *slash = strchr(text, '/');
    size_t size = slash ? (size_t)(slash - text) : strlen(text);
    *ret_reason = "after the Sentinels must stand /name, of 1 to 63 characters";
    if (size == 0 || size > FW_REDIS_MASTER_SIZE_MAX) {
        return -EINVAL;
    }
    memcpy(url->master, text, size);
    url->master[size] = 0;
    if (!slash || !slash[1]) {
        return 0;
    }
    *ret_reason = "the database must be a number";
    size_t digits = strspn(slash + 1, "0123456789");
    if (slash[1 + digits] || digits > 4) {
        return -EINVAL;
    }
    url->database = (int)strtol(slash + 1, NULL, 10);
    return url->database <= DATABASE_MAX ? 0 : -EINVAL;
}

static int parse_many(const char *rest, fw_redis_url_t *url, const char **ret_reason)
{
    const char *at = strrchr(rest, '@');
    const char *hosts = at ? at + 1 : rest;
    const char *slash = strchr(hosts, '/');
    size_t hosts_size = slash ? (size_t)(slash - hosts) : strlen(hosts);
    int result = parse_seeds(rest, (size_t)(hosts - rest), hosts, hosts_size, url, ret_reason);
    if (result != 0) {
        return result;
    }
    memcpy(url->user, url->seeds[0].user, sizeof(url->user));
    memcpy(url->password, url->seeds[0].password, sizeof(url->password));
    if (url->topology == FW_REDIS_CLUSTER) {
        *ret_reason = "a cluster has no databases: nothing may follow the hosts";
        return slash && slash[1] ? -EINVAL : 0;
    }
    for (size_t i = 0; i < url->seeds_count; i++) {
        url->seeds[i].user[0] = url->seeds[i].password[0] = 0;
    }
    return parse_master(slash ? slash + 1 : "", url, ret_reason);
}

static int parse_one(const char *text, fw_redis_url_t *url, const char **ret_reason)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t size = strlen(schemes[i].scheme);
        if (strncmp(text, schemes[i].scheme, size) == 0) {
            url->topology = schemes[i].topology;
            return parse_many(text + size, url, ret_reason);
        }
    }
    url->topology = FW_REDIS_SINGLE;
    url->seeds_count = 1;
    return fw_redis_address_parse(text, &url->seeds[0], ret_reason);
}

int fw_redis_urls_parse(const char *text, fw_redis_url_t ret_urls[FW_REDIS_TARGETS_MAX],
                        size_t *ret_count, const char **ret_reason)
{
    static const char space[] = " \t\r\n";
    size_t count = 0;
    for (text += strspn(text, space); *text; text += strspn(text, space)) {
        size_t size = strcspn(text, space);
        char one[URL_SIZE_MAX];
        *ret_reason = "at most 4 URLs of at most 8191 bytes";
        if (count == FW_REDIS_TARGETS_MAX || size >= sizeof(one)) {
            return -EINVAL;
        }
        memcpy(one, text, size);
        one[size] = 0;
        ret_urls[count] = (fw_redis_url_t){.topology = FW_REDIS_SINGLE};
        int result = parse_one(one, &ret_urls[count], ret_reason);
        explicit_bzero(one, sizeof(one));
        if (result != 0) {
            return result;
        }
        count++;
        text += size;
    }
    *ret_reason = "is empty";
    *ret_count = count;
    return count > 0 ? 0 : -EINVAL;
}

bool fw_redis_url_server(const fw_redis_url_t *url, const char *host, int port,
                         fw_redis_address_t *ret_address)
{
    size_t size = strlen(host);
    if (size == 0 || size > FW_REDIS_HOST_SIZE_MAX || port < 1 || port > PORT_MAX) {
        return false;
    }
    *ret_address = (fw_redis_address_t){.port = port, .database = url->database};
    memcpy(ret_address->host, host, size + 1);
    memcpy(ret_address->user, url->user, sizeof(url->user));
    memcpy(ret_address->password, url->password, sizeof(url->password));
    return true;
}
