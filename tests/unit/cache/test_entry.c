/* test_entry.c - entries of any origin are read safely, and served only when fresh.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zlib.h>

#include <cmocka.h>

#include "cache/entry.h"

enum { FLAGS_AT_WITHOUT_TAGS = 32, LIMIT = FW_CACHE_PAYLOAD_SIZE_MAX };

/* Written by Python's struct, msgpack and zlib: one of two tags, and one compressed of 4003 bytes.
 */
static const char python_plain[] = "43574531000102030405060708090a0b0c0d0e0f0006277d8a032a589392a0c"
                                   "f0006277d8968b58792a56f72673a37cf0006277d8a014c0192a7757365723a"
                                   "3432cf0006277d8a014c020081a269642a";
static const char python_compressed[] =
    "43574531000102030405060708090a0b0c0d0e0f0006277d8a032a589292a00592a16101017801edd2311100300800"
    "b1"
    "a14a29d2b0850064208325c31bf84bbfa9f8290f18608001061860800106186080010618b835b085e7fb4a";

/* The stamps of an entry without tags: the epoch's is 5. */
#define EPOCH_ONLY "\x91\x92\xa0\x05"
/* The epoch, and the beginning of a second pair. */
#define TWO "\x92\x92\xa0\x05\x92"

static fw_bytes_t bytes_of(const char *text)
{
    return (fw_bytes_t){(const uint8_t *)text, strlen(text)};
}

static size_t from_hex(const char *hex, uint8_t *ret_bytes)
{
    size_t size = strlen(hex) / 2;
    for (size_t i = 0; i < size; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        ret_bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return size;
}

static fw_cache_entry_t entry_with(fw_bytes_t payload)
{
    fw_cache_entry_t entry = {.start_us = UINT64_C(1732270000122456), .payload = payload};
    for (size_t i = 0; i < FW_CACHE_NONCE_SIZE; i++) {
        entry.nonce[i] = (uint8_t)i;
    }
    return entry;
}

static void add_stamp(fw_cache_entry_t *entry, const char *tag, uint64_t stamp)
{
    entry->stamps[entry->stamps_count++] = (fw_cache_stamp_t){bytes_of(tag), stamp};
}

static int decode(const uint8_t *data, size_t size, size_t limit)
{
    fw_cache_entry_t entry;
    /* A copy of exactly this size, so that the address sanitizer sees a read past the end. */
    uint8_t *copy = malloc(size ? size : 1);
    if (size) {
        memcpy(copy, data, size);
    }
    int result = fw_cache_entry_decode((fw_bytes_t){copy, size}, limit, &entry);
    if (result == 0) {
        fw_cache_entry_clear(&entry);
    }
    free(copy);
    return result;
}

/* The fixed part of an entry followed by tail. */
static size_t craft(const void *tail, size_t tail_size, uint8_t *ret_data)
{
    static const char magic[] = {'C', 'W', 'E', '1'};
    memcpy(ret_data, magic, sizeof(magic));
    memset(ret_data + 4, 7, 24);
    memcpy(ret_data + 28, tail, tail_size);
    return 28 + tail_size;
}

static void other_versions_and_leases_are_not_entries(void **state)
{
    (void)state;
    uint8_t data[128];
    size_t size = from_hex(python_plain, data);
    data[3] = '2';
    assert_int_equal(decode(data, size, LIMIT), -EPROTO);
    assert_int_equal(fw_cache_value_kind((fw_bytes_t){data, size}), FW_CACHE_VALUE_UNKNOWN);
    uint8_t lease[FW_CACHE_LEASE_SIZE];
    fw_cache_lease_write(data + 4, lease);
    assert_int_equal(decode(lease, sizeof(lease), LIMIT), -EPROTO);
    assert_int_equal(fw_cache_value_kind((fw_bytes_t){lease, sizeof(lease)}), FW_CACHE_VALUE_LEASE);
    assert_int_equal(fw_cache_value_kind((fw_bytes_t){lease, sizeof(lease) - 1}),
                     FW_CACHE_VALUE_UNKNOWN);
    assert_int_equal(decode((const uint8_t *)"hello", 5, LIMIT), -EPROTO);
    assert_int_equal(decode(NULL, 0, LIMIT), -EBADMSG);
}

static void unknown_flags_are_refused(void **state)
{
    (void)state;
    uint8_t data[128];
    for (unsigned bit = 1; bit < 8; bit++) {
        size_t size = craft(EPOCH_ONLY "\x00\xc0", 6, data);
        data[FLAGS_AT_WITHOUT_TAGS] = (uint8_t)(1u << bit);
        assert_int_equal(decode(data, size, LIMIT), -EPROTO);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    const char *const vectors[] = {python_plain, python_compressed};
    for (size_t v = 0; v < 2; v++) {
        uint8_t data[128];
        size_t size = from_hex(vectors[v], data);
        /* The plain payload is opaque here: cut inside it, the entry is still well formed. */
        size_t end = v == 0 ? size - 5 : size - 1;
        for (size_t cut = 0; cut <= end; cut++) {
            assert_int_equal(decode(data, cut, LIMIT), -EBADMSG);
        }
    }
}

static void malformed_stamps_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *tail;
        size_t size;
    } cases[] = {
        {"not an array", "\x80\x00\xc0", 3},
        {"no stamps at all", "\x90\x00\xc0", 3},
        {"four billion stamps", "\xdd\xff\xff\xff\xff\x00\xc0", 7},
        {"66 stamps", "\xdc\x00\x42\x00\xc0", 5},
        {"no epoch", "\x91\x92\xa1z\x01\x00\xc0", 7},
        {"the epoch twice", TWO "\xa0\x06\x00\xc0", 9},
        {"epoch 0", "\x91\x92\xa0\x00\x00\xc0", 6},
        {"a pair of three", "\x92\x92\xa0\x05\x93\xa1z\x01\x01\x00\xc0", 11},
        {"a pair of one", "\x92\x92\xa0\x05\x91\xa1z\x00\xc0", 9},
        {"a tag longer than the value", TWO "\xdb\xff\xff\xff\xff\x01\x00\xc0", 13},
        {"a tag of bytes", TWO "\xc4\x01z\x01\x00\xc0", 11},
        {"stamp 0", TWO "\xa1z\x00\x00\xc0", 10},
        {"negative fixint", TWO "\xa1z\xff\x00\xc0", 10},
        {"negative int8", TWO "\xa1z\xd0\x80\x00\xc0", 11},
        {"negative int64", TWO "\xa1z\xd3\xff\xff\xff\xff\xff\xff\xff\xfe\x00\xc0", 18},
        {"a float", TWO "\xa1z\xca\x00\x00\x00\x01\x00\xc0", 14},
        {"a text as stamp", TWO "\xa1z\xa1z\x00\xc0", 11},
        {"tags out of order", "\x93\x92\xa0\x05\x92\xa1z\x01\x92\xa1y\x01\x00\xc0", 14},
        {"a tag twice", "\x93\x92\xa0\x05\x92\xa1z\x01\x92\xa1z\x02\x00\xc0", 14},
        {"no payload", EPOCH_ONLY "\x00", 5},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t data[128];
        size_t size = craft(cases[i].tail, cases[i].size, data);
        if (decode(data, size, LIMIT) != -EBADMSG) {
            fail_msg("%s was not refused", cases[i].what);
        }
    }
}

static void a_tag_above_the_limit_is_refused(void **state)
{
    (void)state;
    uint8_t tail[8 + 257 + 3] = {0x92, 0x92, 0xa0, 0x05, 0x92, 0xda, 0x01, 0x01};
    memset(tail + 8, 'z', 257);
    memcpy(tail + 8 + 257, "\x01\x00\xc0", 3);
    uint8_t data[400];
    assert_int_equal(decode(data, craft(tail, 8 + 257 + 3, data), LIMIT), -EBADMSG);
    tail[7] = 0x00;
    memcpy(tail + 8 + 256, "\x01\x00\xc0", 3);
    assert_int_equal(decode(data, craft(tail, 8 + 256 + 3, data), LIMIT), 0);
}

static void a_decompression_bomb_stops_at_the_limit(void **state)
{
    (void)state;
    size_t size = (size_t)64 * 1024 * 1024;
    uint8_t *zeros = calloc(size, 1);
    uLongf compressed = compressBound(size);
    uint8_t *data = malloc(33 + compressed);
    craft(EPOCH_ONLY "\x01", 5, data);
    assert_int_equal(compress2(data + 33, &compressed, zeros, size, 9), Z_OK);
    assert_int_equal(decode(data, 33 + compressed, LIMIT), -EMSGSIZE);
    assert_int_equal(decode(data, 33 + compressed, 1024), -EMSGSIZE);
    free(data);
    free(zeros);
}

static void the_limit_is_exact(void **state)
{
    (void)state;
    uint8_t data[128];
    size_t size = from_hex(python_compressed, data);
    assert_int_equal(decode(data, size, 4003), 0);
    assert_int_equal(decode(data, size, 4002), -EMSGSIZE);
    size = from_hex(python_plain, data);
    assert_int_equal(decode(data, size, 5), 0);
    assert_int_equal(decode(data, size, 4), -EMSGSIZE);
}

static void bytes_after_the_compressed_stream_are_refused(void **state)
{
    (void)state;
    uint8_t data[128];
    size_t size = from_hex(python_compressed, data);
    data[size] = 0;
    assert_int_equal(decode(data, size + 1, LIMIT), -EBADMSG);
    data[size - 1] ^= 1; /* The checksum. */
    assert_int_equal(decode(data, size, LIMIT), -EBADMSG);
}

static void what_no_reader_would_accept_is_not_encoded(void **state)
{
    (void)state;
    uint8_t *data = NULL;
    size_t size = 0;
    fw_cache_entry_t entry = entry_with(bytes_of(""));
    add_stamp(&entry, "", 1);
    assert_int_equal(fw_cache_entry_encode(&entry, &data, &size), -EMSGSIZE);
    entry.payload = (fw_bytes_t){(const uint8_t *)"x", FW_CACHE_PAYLOAD_SIZE_MAX + 1};
    assert_int_equal(fw_cache_entry_encode(&entry, &data, &size), -EMSGSIZE);
    entry.payload = bytes_of("x");
    assert_int_equal(fw_cache_entry_encode(&entry, &data, &size), 0);
    free(data);
    data = NULL;
    add_stamp(&entry, "a", 0);
    assert_int_equal(fw_cache_entry_encode(&entry, &data, &size), -EINVAL);
    entry.stamps[1] = (fw_cache_stamp_t){bytes_of(""), 1};
    assert_int_equal(fw_cache_entry_encode(&entry, &data, &size), -EINVAL);
    entry.stamps[1] = (fw_cache_stamp_t){{(const uint8_t *)"a", FW_CACHE_TAG_SIZE_MAX + 1}, 1};
    assert_int_equal(fw_cache_entry_encode(&entry, &data, &size), -EINVAL);
    entry.stamps[1] = (fw_cache_stamp_t){bytes_of("a"), 1};
    add_stamp(&entry, "a", 2);
    assert_int_equal(fw_cache_entry_encode(&entry, &data, &size), -EINVAL);
    entry.stamps_count = 0;
    assert_int_equal(fw_cache_entry_encode(&entry, &data, &size), -EINVAL);
    entry.stamps_count = FW_CACHE_STAMPS_MAX + 1;
    assert_int_equal(fw_cache_entry_encode(&entry, &data, &size), -EINVAL);
    assert_null(data);
}

static void an_entry_of_python_is_read_and_written_alike(void **state)
{
    (void)state;
    uint8_t expected[128];
    size_t expected_size = from_hex(python_plain, expected);
    fw_cache_entry_t entry = entry_with(bytes_of("\x81\xa2id*"));
    add_stamp(&entry, "user:42", UINT64_C(1732270000000002));
    add_stamp(&entry, "org:7", UINT64_C(1732270000000001));
    add_stamp(&entry, "", UINT64_C(1732269990000007));
    uint8_t *data = NULL;
    size_t size = 0;
    assert_int_equal(fw_cache_entry_encode(&entry, &data, &size), 0);
    assert_int_equal(size, expected_size);
    assert_memory_equal(data, expected, size);
    fw_cache_entry_t read;
    assert_int_equal(fw_cache_entry_decode((fw_bytes_t){data, size}, LIMIT, &read), 0);
    assert_int_equal(read.stamps_count, 3);
    assert_int_equal(read.stamps[0].tag.size, 0);
    assert_true(fw_bytes_equal(read.stamps[1].tag, bytes_of("org:7")));
    assert_int_equal(read.stamps[2].stamp, UINT64_C(1732270000000002));
    assert_int_equal(read.start_us, UINT64_C(1732270000122456));
    assert_memory_equal(read.nonce, entry.nonce, FW_CACHE_NONCE_SIZE);
    assert_true(fw_bytes_equal(read.payload, bytes_of("\x81\xa2id*")));
    assert_int_equal(fw_cache_value_kind((fw_bytes_t){data, size}), FW_CACHE_VALUE_ENTRY);
    fw_cache_entry_clear(&read);
    free(data);
}

static void a_compressed_entry_of_python_is_read(void **state)
{
    (void)state;
    uint8_t data[128];
    size_t size = from_hex(python_compressed, data);
    fw_cache_entry_t entry;
    assert_int_equal(fw_cache_entry_decode((fw_bytes_t){data, size}, LIMIT, &entry), 0);
    assert_int_equal(entry.payload.size, 4003);
    assert_memory_equal(entry.payload.data,
                        "\xdc\x03\xe8\xa3"
                        "abc",
                        7);
    fw_cache_entry_clear(&entry);
    fw_cache_entry_clear(NULL);
}

static size_t encoded_size(fw_bytes_t payload)
{
    fw_cache_entry_t entry = entry_with(payload);
    add_stamp(&entry, "", 5);
    uint8_t *data = NULL;
    size_t size = 0;
    assert_int_equal(fw_cache_entry_encode(&entry, &data, &size), 0);
    fw_cache_entry_t read;
    assert_int_equal(fw_cache_entry_decode((fw_bytes_t){data, size}, LIMIT, &read), 0);
    assert_true(fw_bytes_equal(read.payload, payload));
    fw_cache_entry_clear(&read);
    free(data);
    return size;
}

static void only_what_shrinks_by_a_tenth_is_compressed(void **state)
{
    (void)state;
    uint8_t data[4096];
    memset(data, 'a', sizeof(data));
    assert_int_equal(encoded_size((fw_bytes_t){data, 1024}), 33 + 1024);
    assert_true(encoded_size((fw_bytes_t){data, 1025}) < 100);
    srandom(1);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)random();
    }
    assert_int_equal(encoded_size((fw_bytes_t){data, sizeof(data)}), 33 + sizeof(data));
}

static void random_damage_never_harms(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srandom(seed);
    for (int round = 0; round < 20000; round++) {
        uint8_t data[128];
        size_t size = from_hex(round % 2 ? python_plain : python_compressed, data);
        for (int damage = 0; damage < 1 + round % 4; damage++) {
            data[4 + (size_t)random() % (size - 4)] = (uint8_t)random();
        }
        int result = decode(data, size, LIMIT);
        assert_true(result == 0 || result == -EBADMSG || result == -EPROTO || result == -EMSGSIZE);
    }
}

static void stale_entries_are_told_from_fresh_ones(void **state)
{
    (void)state;
    fw_cache_entry_t entry = entry_with(bytes_of("x"));
    entry.start_us = 1000;
    add_stamp(&entry, "a", 10);
    add_stamp(&entry, "b", 20);
    fw_cache_stamp_t current[] = {{bytes_of("a"), 10}, {bytes_of("b"), 20}};
    assert_int_equal(fw_cache_entry_fresh(&entry, current, 2, NULL), FW_CACHE_FRESH);
    current[1].stamp = 0;
    assert_int_equal(fw_cache_entry_fresh(&entry, current, 2, NULL), FW_CACHE_STAMP_MISSING);
    current[1].stamp = 21;
    assert_int_equal(fw_cache_entry_fresh(&entry, current, 2, NULL), FW_CACHE_STAMP_CHANGED);
    current[1].stamp = 19;
    assert_int_equal(fw_cache_entry_fresh(&entry, current, 2, NULL), FW_CACHE_STAMP_CHANGED);
    current[1] = (fw_cache_stamp_t){bytes_of("c"), 20};
    assert_int_equal(fw_cache_entry_fresh(&entry, current, 2, NULL), FW_CACHE_STAMP_CHANGED);
    assert_int_equal(fw_cache_entry_fresh(&entry, current, 1, NULL), FW_CACHE_STAMP_CHANGED);
    entry.stamps_count = 0;
    assert_int_equal(fw_cache_entry_fresh(&entry, NULL, 0, NULL), FW_CACHE_FRESH);
}

static void a_fill_begun_at_or_before_the_purge_is_not_served(void **state)
{
    (void)state;
    fw_cache_entry_t entry = entry_with(bytes_of("x"));
    entry.start_us = 1000;
    fw_cache_token_t token = {.time_us = 1000};
    assert_int_equal(fw_cache_entry_fresh(&entry, NULL, 0, &token), FW_CACHE_TOO_OLD);
    token.time_us = 999;
    assert_int_equal(fw_cache_entry_fresh(&entry, NULL, 0, &token), FW_CACHE_FRESH);
    token.margin_us = 1;
    assert_int_equal(fw_cache_entry_fresh(&entry, NULL, 0, &token), FW_CACHE_TOO_OLD);
    token = (fw_cache_token_t){.time_us = UINT64_MAX, .margin_us = 5};
    assert_int_equal(fw_cache_entry_fresh(&entry, NULL, 0, &token), FW_CACHE_TOO_OLD);
    token = (fw_cache_token_t){.time_us = 0, .margin_us = 5000};
    assert_int_equal(fw_cache_entry_fresh(&entry, NULL, 0, &token), FW_CACHE_FRESH);
}

static void a_stamp_older_than_the_purge_left_it_is_a_lost_purge(void **state)
{
    (void)state;
    fw_cache_entry_t entry = entry_with(bytes_of("x"));
    entry.start_us = 1000;
    add_stamp(&entry, "b", 20);
    const fw_cache_stamp_t current[] = {{bytes_of("b"), 20}};
    fw_cache_stamp_t purged[] = {{bytes_of("a"), 99}, {bytes_of("b"), 21}, {bytes_of("c"), 99}};
    fw_cache_token_t token = {.stamps = purged, .stamps_count = 3};
    assert_int_equal(fw_cache_entry_fresh(&entry, current, 1, &token), FW_CACHE_STAMP_LOST);
    purged[1].stamp = 20;
    assert_int_equal(fw_cache_entry_fresh(&entry, current, 1, &token), FW_CACHE_FRESH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_versions_and_leases_are_not_entries),
        cmocka_unit_test(unknown_flags_are_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(malformed_stamps_are_refused),
        cmocka_unit_test(a_tag_above_the_limit_is_refused),
        cmocka_unit_test(a_decompression_bomb_stops_at_the_limit),
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(bytes_after_the_compressed_stream_are_refused),
        cmocka_unit_test(what_no_reader_would_accept_is_not_encoded),
        cmocka_unit_test(an_entry_of_python_is_read_and_written_alike),
        cmocka_unit_test(a_compressed_entry_of_python_is_read),
        cmocka_unit_test(only_what_shrinks_by_a_tenth_is_compressed),
        cmocka_unit_test(random_damage_never_harms),
        cmocka_unit_test(stale_entries_are_told_from_fresh_ones),
        cmocka_unit_test(a_fill_begun_at_or_before_the_purge_is_not_served),
        cmocka_unit_test(a_stamp_older_than_the_purge_left_it_is_a_lost_purge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
