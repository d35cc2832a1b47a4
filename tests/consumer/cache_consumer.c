/* cache_consumer.c - the smallest service that caches.   SPDX-License-Identifier: MPL-2.0
 * No Redis answers here, so the value must be loaded, and nothing may break. */
#include <cache/cache.h>
#include <cache/policy.h>
#include <cache/redis.h>
#include <errno.h>
#include <stdio.h>

int main(void)
{
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    fw_cache_redis_options_t options = {.path = "/nonexistent/redis.sock"};
    fw_cache_t *cache = NULL;
    if (fw_cache_new(&rules, fw_cache_redis_transport(&options), &cache) != 0) {
        return 1;
    }
    fw_text_t tag = FW_TEXT("projects");
    fw_cache_request_t request = {.key = FW_TEXT("projects:7"), .tags = &tag, .tags_count = 1};
    fw_cache_read_t *read = NULL;
    if (fw_cache_get(cache, &request, &read) != 0) {
        return 1;
    }
    const fw_cache_outcome_t *outcome = fw_cache_read_outcome(read);
    fw_bytes_t nil = {(const uint8_t *)"\xc0", 1};
    if (outcome->status != FW_CACHE_MISS || fw_cache_fill(cache, read, nil)) {
        fprintf(stderr, "%s, stored although there is no Redis\n",
                fw_cache_status_name(outcome->status));
        return 1;
    }
    fw_cache_end(cache, &read);

    fw_cache_purge_request_t purge = {.tags = &tag, .tags_count = 1};
    fw_cache_purged_t purged;
    if (fw_cache_invalidate(cache, &purge, &purged) != -EIO || purged.done) {
        fprintf(stderr, "purged although there is no Redis\n");
        return 1;
    }
    fw_cache_destroy(&cache);
    return fw_cache_should_cache("/users/me", fw_cache_no_cache_default,
                                 fw_cache_no_cache_default_count)
               ? 1
               : 0;
}
