/* policy.c - which paths are cached, and what browsers are told about them.
 * SPDX-License-Identifier: MPL-2.0 */
#include "cache/policy.h"

#include <stdio.h>
#include <string.h>

#include "cache/entry.h"

const char *const fw_cache_no_cache_default[] = {"/users/me", "/notifications", "/projects",
                                                 "/teams"};
const size_t fw_cache_no_cache_default_count =
    sizeof(fw_cache_no_cache_default) / sizeof(fw_cache_no_cache_default[0]);

static const char *const live_default[] = {"/users/me", "/notifications", "/projects",
                                           "/teams",    "/dashboard",     "/analytics"};
static const char *const fixed_default[] = {"/health", "/docs"};

static bool has_part(const char *path, const char *const *patterns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strstr(path, patterns[i])) {
            return true;
        }
    }
    return false;
}

bool fw_cache_should_cache(const char *path, const char *const *patterns, size_t count)
{
    return !has_part(path, patterns, count);
}

fw_cache_control_t fw_cache_control_defaults(void)
{
    return (fw_cache_control_t){
        .live = live_default,
        .live_count = sizeof(live_default) / sizeof(live_default[0]),
        .fixed = fixed_default,
        .fixed_count = sizeof(fixed_default) / sizeof(fixed_default[0]),
        .fixed_seconds = 60,
        .other_seconds = 10,
    };
}

const char *fw_cache_control_write(const fw_cache_control_t *self, const char *path,
                                   char value[FW_CACHE_CONTROL_SIZE])
{
    if (has_part(path, self->live, self->live_count)) {
        (void)snprintf(value, FW_CACHE_CONTROL_SIZE, "private, no-store");
        return value;
    }
    bool fixed = has_part(path, self->fixed, self->fixed_count);
    (void)snprintf(value, FW_CACHE_CONTROL_SIZE, "%s, max-age=%u", fixed ? "public" : "private",
                   (unsigned)(fixed ? self->fixed_seconds : self->other_seconds));
    return value;
}

void fw_cache_fresh_parse(const char *header, uint64_t *ret_fresh_us, bool *ret_bypass)
{
    static const char blanks[] = " \t";
    const char *begin = header ? header + strspn(header, blanks) : "";
    size_t size = strlen(begin);
    while (size > 0 && strchr(blanks, begin[size - 1])) {
        size--;
    }
    /* "0" is a token like any other, and says nothing. */
    size_t zeros = strspn(begin, "0");
    *ret_fresh_us = fw_cache_stamp_parse((fw_bytes_t){(const uint8_t *)begin, size});
    *ret_bypass = size > 0 && *ret_fresh_us == 0 && zeros != size;
}
