/* test_payload.c - exactly one MessagePack value, or not.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <msgpack.h>

#include "cache/payload.h"

static bool is_value(const void *data, size_t size)
{
    /* A copy of exactly this size, so that the address sanitizer sees a read past the end. */
    uint8_t *copy = malloc(size ? size : 1);
    if (size) {
        memcpy(copy, data, size);
    }
    bool result = fw_cache_payload_is_value((fw_bytes_t){copy, size});
    free(copy);
    return result;
}

static void bytes_that_are_no_value_are_refused(void **state)
{
    (void)state;
    assert_false(is_value("", 0));
    assert_false(is_value("\xc1", 1));
    assert_false(is_value("\xc0\xc0", 2));                     /* two values */
    assert_false(is_value("\x92\xc0", 2));                     /* an array that ends too soon */
    assert_false(is_value("\x81\xc0", 2));                     /* a key without value */
    assert_false(is_value("\xa3zz", 3));                       /* a text that ends too soon */
    assert_false(is_value("\xdd\xff\xff\xff\xff", 5));         /* four billion values */
    assert_false(is_value("\xdf\xff\xff\xff\xff\xc0\xc0", 7)); /* eight billion */
    assert_false(is_value("\xdb\xff\xff\xff\xff", 5));
    assert_false(is_value("\xc9\xff\xff\xff\xff", 5));
    assert_false(is_value("\xdb\xff", 2));
    assert_false(is_value("<html>", 6));
}

static void pack_everything(msgpack_packer *packer)
{
    static const uint8_t filler[300];
    msgpack_pack_array(packer, 30);
    msgpack_pack_nil(packer);
    msgpack_pack_true(packer);
    msgpack_pack_false(packer);
    msgpack_pack_float(packer, 1.5F);
    msgpack_pack_double(packer, 1.5);
    const int64_t numbers[] = {0,  127, 128,  65535,  65536,    INT64_MAX,
                               -1, -33, -200, -40000, INT64_MIN};
    for (size_t i = 0; i < 11; i++) {
        msgpack_pack_int64(packer, numbers[i]);
    }
    msgpack_pack_uint64(packer, UINT64_MAX);
    msgpack_pack_str(packer, 3);
    msgpack_pack_str_body(packer, "abc", 3);
    msgpack_pack_str(packer, 40);
    msgpack_pack_str_body(packer, filler, 40);
    msgpack_pack_str(packer, 300);
    msgpack_pack_str_body(packer, filler, 300);
    msgpack_pack_bin(packer, 3);
    msgpack_pack_bin_body(packer, filler, 3);
    msgpack_pack_bin(packer, 300);
    msgpack_pack_bin_body(packer, filler, 300);
    static const size_t sizes[] = {1, 2, 4, 8, 16, 3, 300};
    for (size_t i = 0; i < 7; i++) {
        msgpack_pack_ext(packer, sizes[i], 7);
        msgpack_pack_ext_body(packer, filler, sizes[i]);
    }
    msgpack_pack_map(packer, 20);
    for (int i = 0; i < 20; i++) {
        msgpack_pack_int(packer, i);
        msgpack_pack_array(packer, 1);
        msgpack_pack_map(packer, 1);
        msgpack_pack_nil(packer);
        msgpack_pack_nil(packer);
    }
}

static void what_the_library_packs_is_one_value_and_no_part_of_it_is(void **state)
{
    (void)state;
    msgpack_sbuffer packed;
    msgpack_sbuffer_init(&packed);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
    pack_everything(&packer);
    assert_true(is_value(packed.data, packed.size));
    for (size_t cut = 0; cut < packed.size; cut++) {
        assert_false(is_value(packed.data, cut));
    }
    msgpack_pack_nil(&packer);
    assert_false(is_value(packed.data, packed.size));
    msgpack_sbuffer_destroy(&packed);
}

/* Nested as deeply as its size allows: walked without a stack. */
static void depth_costs_nothing(void **state)
{
    (void)state;
    size_t size = 1000000;
    uint8_t *nested = malloc(size);
    memset(nested, 0x91, size);
    assert_false(is_value(nested, size));
    nested[size - 1] = 0xc0;
    assert_true(is_value(nested, size));
    free(nested);
}

static void only_nil_is_nothing(void **state)
{
    (void)state;
    assert_true(fw_cache_payload_is_nothing((fw_bytes_t){(const uint8_t *)"\xc0", 1}));
    assert_false(fw_cache_payload_is_nothing((fw_bytes_t){(const uint8_t *)"\xc2", 1}));
    assert_false(fw_cache_payload_is_nothing((fw_bytes_t){(const uint8_t *)"\xc0\xc0", 2}));
    assert_false(fw_cache_payload_is_nothing((fw_bytes_t){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_are_no_value_are_refused),
        cmocka_unit_test(what_the_library_packs_is_one_value_and_no_part_of_it_is),
        cmocka_unit_test(depth_costs_nothing),
        cmocka_unit_test(only_nil_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
