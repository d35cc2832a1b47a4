/* cache_peer.c - the C cache for tests in other languages.   SPDX-License-Identifier: MPL-2.0
 *
 *   cache_peer SOCKET read KEY TAGS TTL_MS FRESH VALUE   one read; what is loaded is VALUE
 *   cache_peer SOCKET purge tag|key|prefix|all NAME
 *
 * TAGS are separated by commas, VALUE is MessagePack in hexadecimal. A read prints its status,
 * whether it stored, and the value in hexadecimal; a purge prints the freshness token. The prefix
 * "users:" is registered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"
#include "cache/policy.h"
#include "cache/redis.h"

enum { TAGS = 70, VALUE_SIZE_MAX = 1 << 20 };

static const fw_text_t prefixes[] = {{"users:", 6}};

static size_t from_hex(const char *hex, uint8_t *ret_bytes)
{
    size_t size = strlen(hex) / 2;
    for (size_t i = 0; i < size && i < VALUE_SIZE_MAX; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        ret_bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return size;
}

static size_t split(const char *text, fw_text_t ret_tags[TAGS])
{
    size_t count = 0;
    while (*text && count < TAGS) {
        size_t size = strcspn(text, ",");
        ret_tags[count++] = (fw_text_t){text, size};
        text += size + (text[size] == ',');
    }
    return count;
}

static int read_one(fw_cache_t *cache, char **arguments)
{
    static uint8_t loaded[VALUE_SIZE_MAX];
    fw_text_t tags[TAGS];
    fw_cache_request_t request = {.key = fw_text(arguments[0]), .tags = tags};
    request.tags_count = split(arguments[1], tags);
    request.ttl_ms = strtoll(arguments[2], NULL, 10);
    fw_cache_fresh_parse(arguments[3], &request.fresh_us, &request.bypass);
    fw_bytes_t payload = {loaded, from_hex(arguments[4], loaded)};
    fw_cache_read_t *read = NULL;
    int result = fw_cache_get(cache, &request, &read);
    if (result < 0) {
        return 1;
    }
    const fw_cache_outcome_t *outcome = fw_cache_read_outcome(read);
    if (outcome->status == FW_CACHE_HIT) {
        payload = outcome->payload;
    } else {
        (void)fw_cache_fill(cache, read, payload);
    }
    printf("%s %s ", fw_cache_status_name(outcome->status), outcome->stored ? "stored" : "-");
    for (size_t i = 0; i < payload.size; i++) {
        printf("%02x", payload.data[i]);
    }
    printf("\n");
    fw_cache_end(cache, &read);
    return 0;
}

static int purge_one(fw_cache_t *cache, char **arguments)
{
    const fw_text_t name = fw_text(arguments[1]);
    fw_cache_purge_request_t request = {0};
    if (strcmp(arguments[0], "tag") == 0) {
        request.tags = &name;
        request.tags_count = 1;
    } else if (strcmp(arguments[0], "key") == 0) {
        request.keys = &name;
        request.keys_count = 1;
    } else if (strcmp(arguments[0], "prefix") == 0) {
        request.prefixes = &name;
        request.prefixes_count = 1;
    } else {
        request.everything = true;
    }
    fw_cache_purged_t purged;
    if (fw_cache_invalidate(cache, &request, &purged) != 0) {
        return 1;
    }
    printf("%llu\n", (unsigned long long)purged.fresh_us);
    return 0;
}

int main(int argc, char **argv)
{
    bool reads = argc == 8 && strcmp(argv[2], "read") == 0;
    bool purges = argc == 5 && strcmp(argv[2], "purge") == 0;
    if (!reads && !purges) {
        return 2;
    }
    fw_cache_rules_t rules = fw_cache_rules_defaults();
    rules.prefixes = prefixes;
    rules.prefixes_count = 1;
    const fw_cache_redis_options_t options = {.path = argv[1], .timeout_ms = 10000};
    fw_cache_t *cache = NULL;
    if (fw_cache_new(&rules, fw_cache_redis_transport(&options), &cache) != 0) {
        return 1;
    }
    int result = reads ? read_one(cache, argv + 3) : purge_one(cache, argv + 3);
    fw_cache_destroy(&cache);
    return result;
}
