/* cut.h - ends a connection that ZeroMQ would keep.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

#include <czmq.h>

/* The port of a socket that is bound to TCP, 0 when it is not. */
in_port_t fw_cut_port(zsock_t *bound);

/* Shuts the connection of a descriptor down if it came in by that port; ZeroMQ sees a peer that
 * went. A descriptor may have passed to another connection by now: only one of the same port is
 * ever touched, and it connects again. False when there was none. */
bool fw_cut(int fd, in_port_t port);
