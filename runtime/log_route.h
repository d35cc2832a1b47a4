/* log_route.h - what czmq and libwebsockets have to say goes to our log.   SPDX-License-Identifier:
 * MPL-2.0 Internal to runtime/. Each may be called more than once. */
#pragma once

void fw_log_route_czmq(void);
void fw_log_route_websockets(void);
