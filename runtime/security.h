/* security.h - who this process is on ZeroMQ's links, and whom it trusts.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Made once, before any socket, and shared by all of them; immutable. */
typedef struct fw_security fw_security_t;
