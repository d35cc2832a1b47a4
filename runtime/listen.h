/* listen.h - a listening TCP socket from "host:port".   SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Listens on a numeric address ("127.0.0.1:9090", "[::1]:9090"), on "localhost:9090", or on every
 * address (":9090",
 * "*:9090"); port 0 takes a free one. Names are not looked up. The socket does not block and is
 * closed on exec. 0, the descriptor (the caller closes it) and the real port; -EINVAL for a bad
 * text, or what bind(2) gave. */
int fw_listen(const char *text, int backlog, int *ret_fd, int *ret_port)
    __attribute__((warn_unused_result));
