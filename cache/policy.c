/* policy.c - which paths are cached at all.   SPDX-License-Identifier: MPL-2.0 */
#include "cache/policy.h"

#include <string.h>

const char *const fw_cache_no_cache_default[] = {"/users/me", "/notifications", "/projects",
                                                 "/teams"};
const size_t fw_cache_no_cache_default_count =
    sizeof(fw_cache_no_cache_default) / sizeof(fw_cache_no_cache_default[0]);

bool fw_cache_should_cache(const char *path, const char *const *patterns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strstr(path, patterns[i])) {
            return false;
        }
    }
    return true;
}
