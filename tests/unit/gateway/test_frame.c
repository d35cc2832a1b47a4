/* test_frame.c - heads of server frames.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include "gateway/frame.h"

static void check(fw_frame_kind_t kind, size_t payload, const uint8_t *expected, size_t size)
{
    uint8_t head[FW_FRAME_HEAD_SIZE_MAX];
    assert_int_equal(fw_frame_head_size(payload), size);
    assert_int_equal(fw_frame_head(kind, payload, head), size);
    assert_memory_equal(head, expected, size);
}

static void sizes_take_the_shortest_form_at_every_edge(void **state)
{
    (void)state;
    check(FW_FRAME_TEXT, 0, (const uint8_t[]){0x81, 0}, 2);
    check(FW_FRAME_TEXT, 125, (const uint8_t[]){0x81, 125}, 2);
    check(FW_FRAME_TEXT, 126, (const uint8_t[]){0x81, 126, 0, 126}, 4);
    check(FW_FRAME_TEXT, 65535, (const uint8_t[]){0x81, 126, 0xff, 0xff}, 4);
    check(FW_FRAME_TEXT, 65536, (const uint8_t[]){0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}, 10);
}

static void kinds_have_their_opcode_and_are_final(void **state)
{
    (void)state;
    check(FW_FRAME_BINARY, 1, (const uint8_t[]){0x82, 1}, 2);
    check(FW_FRAME_PING, 1, (const uint8_t[]){0x89, 1}, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_take_the_shortest_form_at_every_edge),
        cmocka_unit_test(kinds_have_their_opcode_and_are_final),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
