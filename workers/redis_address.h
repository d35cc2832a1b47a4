/* redis_address.h - where Redis is and how to log in.   SPDX-License-Identifier: MPL-2.0
 * Pure. Forms of the URL:
 *
 *   redis://[[user]:password@]host[:port][/database]
 *   unix://[[user]:password@]/path[?db=database]
 *
 * User and password are percent-decoded; an IPv6 host stands in brackets. Without a user the
 * password is that of the default user. */
#pragma once

#include "cache/slot_map.h"

enum {
    FW_REDIS_PATH_SIZE_MAX = 107, /* what a Unix socket address holds */
    FW_REDIS_USER_SIZE_MAX = 127,
    FW_REDIS_PASSWORD_SIZE_MAX = 511,
    FW_REDIS_PORT = 6379,
};

typedef struct {
    char host[FW_REDIS_HOST_SIZE_MAX + 1]; /* "" for a socket file */
    char path[FW_REDIS_PATH_SIZE_MAX + 1]; /* "" for a host */
    int port;
    int database;
    char user[FW_REDIS_USER_SIZE_MAX + 1];         /* "" = none */
    char password[FW_REDIS_PASSWORD_SIZE_MAX + 1]; /* "" = no login */
} fw_redis_address_t;

/* 0, or -EINVAL and *ret_reason (static text, without any part of the URL, which may hold a
 * password). */
int fw_redis_address_parse(const char *url, fw_redis_address_t *ret_address,
                           const char **ret_reason) __attribute__((warn_unused_result));
