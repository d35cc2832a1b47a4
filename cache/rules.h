/* rules.h - how one cache behaves, and what it calls things in Redis.   SPDX-License-Identifier:
 * MPL-2.0 Pure; any thread. */
#pragma once

#include "cache/entry.h"

enum {
    FW_CACHE_KEY_SIZE_MAX = 512,      /* of a reader's key, bytes */
    FW_CACHE_NAMESPACE_SIZE_MAX = 64, /* bytes */
    FW_CACHE_PREFIXES_MAX = 16,
    FW_CACHE_LAG_MS_MAX = 24 * 60 * 60 * 1000, /* of hold-off and margin */
};

/* Times in milliseconds. Everything pointed to is borrowed and outlives the machines. */
typedef struct {
    fw_text_t name; /* namespace: what all keys in Redis begin with; default "fw" */
    /* Registered namespaces of keys, for example "users:". What begins with one also carries the
     * tag "users:*", so that a purge of that tag ends them all in one step. Everybody who reads or
     * fills such keys must register the same. */
    const fw_text_t *prefixes;
    size_t prefixes_count;
    int64_t ttl_ms;          /* of an entry; 300,000 */
    int64_t nothing_ttl_ms;  /* at most, of an entry that holds nil; 30,000 */
    int64_t stamp_ttl_ms;    /* 86,400,000; at least twice the longest ttl */
    int64_t lease_ms;        /* after which a loader is taken for dead; 10,000 */
    int64_t wait_ms;         /* for somebody else's load, before loading as well; 1,000 */
    int64_t hold_off_ms;     /* what a load may lag behind commits (read replicas); 0 */
    int64_t margin_ms;       /* what the clocks of two Redis servers may differ; 0 */
    size_t payload_size_max; /* bytes; FW_CACHE_PAYLOAD_SIZE_MAX */
    bool cluster;            /* one key a command: Redis Cluster keeps each elsewhere */
} fw_cache_rules_t;

fw_cache_rules_t fw_cache_rules_defaults(void);
/* 0, or -EINVAL: a name or prefix that is empty or too long, a time that is negative, 0
 * where it must not be or above its limit, or a ttl above half of stamp_ttl_ms. */
int fw_cache_rules_check(const fw_cache_rules_t *rules) __attribute__((warn_unused_result));

/* The tags of one key, without the epoch's: those given and those of registered prefixes, ascending
 * and each once. 0; -EINVAL for a key or tag that is empty or too long, or that holds a 0 byte;
 * -E2BIG for more than FW_CACHE_TAGS_MAX. The tags of prefixes are written to buffer. */
int fw_cache_rules_tags(const fw_cache_rules_t *rules, fw_text_t key, const fw_text_t *tags,
                        size_t tags_count,
                        char buffer[FW_CACHE_PREFIXES_MAX][FW_CACHE_TAG_SIZE_MAX + 1],
                        fw_text_t ret_tags[FW_CACHE_TAGS_MAX], size_t *ret_count)
    __attribute__((warn_unused_result));

/* Names in Redis: "<name>:c:<key>"; "<name>:t:<tag>", or "<name>:epoch" for the empty tag. Written
 * to at with a closing 0; returns the place after that. The room needed is name.size + 3 +
 * key.size + 1, or name.size + 7 for the epoch. */
char *fw_cache_entry_key_write(fw_text_t name, fw_text_t key, char *at, fw_text_t *ret_key);
char *fw_cache_stamp_key_write(fw_text_t name, fw_text_t tag, char *at, fw_text_t *ret_key);
enum { FW_CACHE_NAME_OVERHEAD = 8 }; /* of either kind, beside name and key or tag */
