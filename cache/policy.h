/* policy.h - which paths are cached at all.   SPDX-License-Identifier: MPL-2.0
 * Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What is never cached unless a service says otherwise: "/users/me", "/notifications", "/projects",
 * "/teams". */
extern const char *const fw_cache_no_cache_default[];
extern const size_t fw_cache_no_cache_default_count;

/* False when any pattern is a part of path (plain substring, case matters): "/users/me" also stops
 * "/api/v1/users/me/avatar". An empty pattern stops everything, no pattern nothing. */
bool fw_cache_should_cache(const char *path, const char *const *patterns, size_t count);
