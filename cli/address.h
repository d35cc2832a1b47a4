/* address.h - addresses that this process listens on, as people write and read them.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { FW_URL_SIZE_MAX = 300 };

/* Why something cannot listen on "host:port": 0 when it can, -EADDRINUSE, -EACCES, -EADDRNOTAVAIL,
 * -EINVAL … Tries it for a moment, so that also a socket that would share its port is found. Port 0
 * can always be had. */
int fw_address_check(const char *listen) __attribute__((warn_unused_result));

/* Writes "<scheme>://host:port" under which this machine reaches what listens on "host:0" or any
 * other port there: every-address hosts (":8080", "*:8080", "0.0.0.0:8080", "[::]:8080") become
 * 127.0.0.1. */
void fw_address_url(const char *scheme, const char *listen, int port,
                    char ret_url[FW_URL_SIZE_MAX]);
/* The same for an endpoint such as "tcp://0.0.0.0:7001". */
void fw_address_endpoint(const char *endpoint, char ret_endpoint[FW_URL_SIZE_MAX]);
