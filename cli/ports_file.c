/* ports_file.c - tells scripts and tests which ports were taken.   SPDX-License-Identifier: MPL-2.0
 */
#include "cli/ports_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

static void add(json_t *object, const char *name, const char *address)
{
    if (*address)
        (void)json_object_set_new(object, name, json_string(address));
}

static int write_text(int fd, const char *text)
{
    int result = dprintf(fd, "%s\n", text) < 0 ? -errno : 0;
    /* mkstemp makes it private; the ports are no secret. */
    if (result == 0 && fchmod(fd, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH) != 0)
        result = -errno;
    return close(fd) != 0 && result == 0 ? -errno : result;
}

int fw_ports_file_write(const char *path, const fw_addresses_t *addresses)
{
    char temporary[PATH_MAX];
    int size = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (size < 0 || (size_t)size >= sizeof temporary)
        return -ENAMETOOLONG;
    json_t *object = json_object();
    add(object, "gateway", addresses->gateway);
    add(object, "admin", addresses->admin);
    add(object, "fire", addresses->fire);
    add(object, "publish", addresses->publish);
    add(object, "jobs", addresses->jobs);
    add(object, "events", addresses->events);
    add(object, "control", addresses->control);
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    int fd = text ? mkstemp(temporary) : -1;
    int result = fd >= 0 ? write_text(fd, text) : -errno;
    free(text);
    if (result == 0 && rename(temporary, path) != 0)
        result = -errno;
    if (result != 0 && fd >= 0)
        (void)unlink(temporary);
    return result;
}
