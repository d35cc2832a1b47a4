/* rules.c - how one cache behaves, and what it calls things in Redis.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "cache/rules.h"

#include <errno.h>
#include <stdlib.h>

static const int64_t second_ms = 1000;

fw_cache_rules_t fw_cache_rules_defaults(void)
{
    return (fw_cache_rules_t){
        .name = FW_TEXT("fw"),
        .ttl_ms = 300 * second_ms,
        .nothing_ttl_ms = 30 * second_ms,
        .stamp_ttl_ms = 86400 * second_ms,
        .lease_ms = 10 * second_ms,
        .wait_ms = second_ms,
        .payload_size_max = FW_CACHE_PAYLOAD_SIZE_MAX,
    };
}

static bool is_name(fw_text_t name, size_t size_max)
{
    return name.size > 0 && name.size <= size_max && !memchr(name.text, 0, name.size);
}

int fw_cache_rules_check(const fw_cache_rules_t *rules)
{
    bool valid = is_name(rules->name, FW_CACHE_NAMESPACE_SIZE_MAX) &&
                 rules->prefixes_count <= FW_CACHE_PREFIXES_MAX && rules->ttl_ms > 0 &&
                 rules->nothing_ttl_ms > 0 && rules->lease_ms > 0 && rules->wait_ms >= 0 &&
                 rules->hold_off_ms >= 0 && rules->hold_off_ms <= FW_CACHE_LAG_MS_MAX &&
                 rules->margin_ms >= 0 && rules->margin_ms <= FW_CACHE_LAG_MS_MAX &&
                 rules->ttl_ms <= rules->stamp_ttl_ms / 2 && rules->payload_size_max > 0 &&
                 rules->payload_size_max <= FW_CACHE_PAYLOAD_SIZE_MAX;
    for (size_t i = 0; valid && i < rules->prefixes_count; i++) {
        valid = is_name(rules->prefixes[i], FW_CACHE_TAG_SIZE_MAX - 1);
    }
    return valid ? 0 : -EINVAL;
}

static int compare_texts(const void *a, const void *b)
{
    const fw_text_t *x = a;
    const fw_text_t *y = b;
    const fw_cache_stamp_t first = {.tag = {(const uint8_t *)x->text, x->size}};
    const fw_cache_stamp_t second = {.tag = {(const uint8_t *)y->text, y->size}};
    return fw_cache_stamp_compare(&first, &second);
}

int fw_cache_rules_tags(const fw_cache_rules_t *rules, fw_text_t key, const fw_text_t *tags,
                        size_t tags_count,
                        char buffer[FW_CACHE_PREFIXES_MAX][FW_CACHE_TAG_SIZE_MAX + 1],
                        fw_text_t ret_tags[FW_CACHE_TAGS_MAX], size_t *ret_count)
{
    if (!is_name(key, FW_CACHE_KEY_SIZE_MAX)) {
        return -EINVAL;
    }
    if (tags_count > FW_CACHE_TAGS_MAX) {
        return -E2BIG;
    }
    size_t count = 0;
    for (size_t i = 0; i < tags_count; i++) {
        if (!is_name(tags[i], FW_CACHE_TAG_SIZE_MAX)) {
            return -EINVAL;
        }
        ret_tags[count++] = tags[i];
    }
    for (size_t i = 0; i < rules->prefixes_count; i++) {
        fw_text_t prefix = rules->prefixes[i];
        if (key.size < prefix.size || memcmp(key.text, prefix.text, prefix.size) != 0) {
            continue;
        }
        if (count == FW_CACHE_TAGS_MAX) {
            return -E2BIG;
        }
        memcpy(buffer[i], prefix.text, prefix.size);
        memcpy(buffer[i] + prefix.size, "*", 2);
        ret_tags[count++] = (fw_text_t){buffer[i], prefix.size + 1};
    }
    qsort(ret_tags, count, sizeof(ret_tags[0]), compare_texts);
    size_t unique = 0;
    for (size_t i = 0; i < count; i++) {
        if (unique == 0 || !fw_text_equal(ret_tags[unique - 1], ret_tags[i])) {
            ret_tags[unique++] = ret_tags[i];
        }
    }
    *ret_count = unique;
    return 0;
}

static char *write_key(fw_text_t name, fw_text_t middle, fw_text_t end, char *at,
                       fw_text_t *ret_key)
{
    char *next = at;
    const fw_text_t parts[] = {name, middle, end};
    for (size_t i = 0; i < 3; i++) {
        if (parts[i].size > 0) {
            memcpy(next, parts[i].text, parts[i].size);
        }
        next += parts[i].size;
    }
    *next = 0;
    *ret_key = (fw_text_t){at, (size_t)(next - at)};
    return next + 1;
}

char *fw_cache_entry_key_write(fw_text_t name, fw_text_t key, char *at, fw_text_t *ret_key)
{
    return write_key(name, FW_TEXT(":c:"), key, at, ret_key);
}

char *fw_cache_stamp_key_write(fw_text_t name, fw_text_t tag, char *at, fw_text_t *ret_key)
{
    fw_text_t middle = tag.size > 0 ? FW_TEXT(":t:") : FW_TEXT(":epoch");
    return write_key(name, middle, tag, at, ret_key);
}
