/* tls_read.h - see tls_read.c.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Does nothing; whoever calls it has tls_read.c in its program. */
void fw_tls_read_link(void);
