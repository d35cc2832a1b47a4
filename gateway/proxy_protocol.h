/* proxy_protocol.h - the PROXY header that a load balancer puts before a connection, so that we
 * know whose it is.   SPDX-License-Identifier: MPL-2.0
 * Pure. Versions 1 (a line) and 2 (binary) as haproxy's specification has them. It says how much
 * may be read without touching what follows the header. */
#pragma once

#include "gateway/address.h"

enum {
    FW_PROXY_HEADER_SIZE_MAX = 16 + 1024, /* the addresses, and room for the extras of version 2 */
};

typedef enum { FW_PROXY_OFF, FW_PROXY_V1, FW_PROXY_V2 } fw_proxy_protocol_t;

/* Looks at what has been read of a header. 0: it is complete; *ret_address is the client, unknown
 * when the proxy speaks for itself. -EAGAIN: *ret_more bytes (at least 1) can be read and still
 * belong to it. -EBADMSG: not such a header, or too long. */
int fw_proxy_protocol_decode(fw_proxy_protocol_t version, const uint8_t *bytes, size_t size,
                             fw_address_t *ret_address, size_t *ret_more)
    __attribute__((warn_unused_result));
