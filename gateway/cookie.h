/* cookie.h - a value in a Cookie header (RFC 6265, 4.2).   SPDX-License-Identifier: MPL-2.0
 * Pure. */
#pragma once

#include "proto/bytes.h"

/* The value of a cookie; borrows from the header. 0; -ENOENT: it is not there, or empty; -EEXIST:
 * it is there several times with different values, as when another host of the same domain has set
 * one too. */
int fw_cookie_find(fw_text_t header, fw_text_t name, fw_text_t *ret_value)
    __attribute__((warn_unused_result));
