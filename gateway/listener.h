/* listener.h - a port that several shards share.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Listens on "host:port" with SO_REUSEPORT: a numeric address, "[::1]:8080", "localhost:8080", or
 * every address
 * (":8080", "*:8080"). port overrides the one of the text unless it is 0; a port of 0 is a free
 * one. The socket does not block and is closed on exec; the caller closes it. 0, or a negative
 * errno. */
int fw_listener_open(const char *text, int port, int *ret_fd, int *ret_port)
    __attribute__((warn_unused_result));
