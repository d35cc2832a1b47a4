/* fixture.h - what the tests of the gateway's pure files share.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "gateway/entry.h"

static inline fw_bytes_t bytes_of(const char *text)
{
    return (fw_bytes_t){(const uint8_t *)text, strlen(text)};
}

/* An event whose body is {"n":<offset>}, excluding whom it says (NULL = nobody). */
static inline fw_entry_t *make_entry(uint64_t offset, const char *exclude_user,
                                     const char *exclude_origin)
{
    char body[64];
    int size = snprintf(body, sizeof body, "{\"n\":%llu}", (unsigned long long)offset);
    fw_exclude_t exclude = {fw_text(exclude_user), fw_text(exclude_origin)};
    return fw_entry_new(offset, (fw_bytes_t){(const uint8_t *)body, (size_t)size}, &exclude,
                        (int64_t)offset);
}
