/* base64url.h - the text form of the parts of a token (RFC 7515, 2).   SPDX-License-Identifier:
 * MPL-2.0 Pure. Without padding, and each value has one text only: a text that another one could
 * stand for is refused. */
#pragma once

#include "proto/bytes.h"

/* 0 and *ret_size bytes; -EINVAL: not base64url; -EMSGSIZE: more than size bytes. */
int fw_base64url_decode(fw_text_t text, uint8_t *buffer, size_t size, size_t *ret_size)
    __attribute__((warn_unused_result));
