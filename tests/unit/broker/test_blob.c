/* SPDX-License-Identifier: MPL-2.0
 * Bytes live exactly as long as somebody holds them (the sanitizers see the rest). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/blob.h"

static void releasing_nothing_is_allowed(void **state)
{
    (void)state;
    fw_blob_t *blob = NULL;
    fw_blob_release(&blob);
    assert_null(blob);
}

static void lives_until_the_last_holder_has_gone(void **state)
{
    (void)state;
    uint8_t bytes[] = {1, 2, 3};
    fw_blob_t *first = fw_blob_new((fw_bytes_t){bytes, sizeof bytes});
    fw_blob_t *second = fw_blob_hold(first);
    bytes[0] = 9;
    fw_blob_release(&first);
    assert_null(first);
    assert_int_equal(fw_blob_bytes(second).size, 3);
    assert_int_equal(fw_blob_bytes(second).data[0], 1);
    fw_blob_release(&second);
}

static void may_be_empty(void **state)
{
    (void)state;
    fw_blob_t *blob = fw_blob_new((fw_bytes_t){NULL, 0});
    assert_int_equal(fw_blob_bytes(blob).size, 0);
    fw_blob_release(&blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(releasing_nothing_is_allowed),
        cmocka_unit_test(lives_until_the_last_holder_has_gone),
        cmocka_unit_test(may_be_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
