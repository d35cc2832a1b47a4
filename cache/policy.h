/* policy.h - which paths are cached, and what browsers are told about them.
 * SPDX-License-Identifier: MPL-2.0 Pure; any thread. Patterns are parts of a path (plain substring,
 * case matters): "/users/me" is also part of "/api/v1/users/me/avatar". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is never cached unless a service says otherwise: "/users/me", "/notifications", "/projects",
 * "/teams". */
extern const char *const fw_cache_no_cache_default[];
extern const size_t fw_cache_no_cache_default_count;

/* False when any pattern is a part of path. An empty pattern stops everything, no pattern nothing.
 */
bool fw_cache_should_cache(const char *path, const char *const *patterns, size_t count);

/* Everything is borrowed. */
typedef struct {
    const char *const *live; /* what a browser asks about anew each time */
    size_t live_count;
    const char *const *fixed; /* what hardly ever changes, and is the same for everybody */
    size_t fixed_count;
    uint32_t fixed_seconds;
    uint32_t other_seconds;
} fw_cache_control_t;

/* Live: what is never cached, "/dashboard" and "/analytics"; fixed: "/health" and "/docs", 60 s;
 * everything else 10 s. */
fw_cache_control_t fw_cache_control_defaults(void);

enum { FW_CACHE_CONTROL_SIZE = 40 };

/* Cache-Control of a successful GET: "private, no-store" for live paths (a browser that kept them
 * could answer the refetch after an event from its own disk), "public, max-age=60" for fixed ones,
 * otherwise "private, max-age=10". Returns value.
 */
const char *fw_cache_control_write(const fw_cache_control_t *self, const char *path,
                                   char value[FW_CACHE_CONTROL_SIZE]);

/* X-Freshwire-Fresh, as a browser sends it after an event. NULL or blank: no token. What cannot be
 * read bypasses: never stale, at worst slower. */
void fw_cache_fresh_parse(const char *header, uint64_t *ret_fresh_us, bool *ret_bypass);
