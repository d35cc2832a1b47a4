/* sentinel.h - asks Sentinels which server is the primary.   SPDX-License-Identifier: MPL-2.0
 * Blocking; for connection.c, not installed. Whoever connects asks the server itself, too, whether
 * it is a primary: so the first Sentinel that answers is believed. */
#pragma once

#include <sys/time.h>

#include "cache/slot_map.h"

/* Takes one "host:port" from a list with commas, an IPv6 host in brackets; *list goes on behind it.
 * False when it is none. */
bool fw_cache_next_server(const char **list, int default_port, fw_slot_server_t *ret_server);

/* sentinels: "host:port,…", asked in turn. 0, or -ENOENT when none of them could say, and why. */
int fw_cache_sentinel_ask(const char *sentinels, const char *name, struct timeval timeout,
                          fw_slot_server_t *ret_primary, char *ret_reason, size_t reason_size)
    __attribute__((warn_unused_result));
