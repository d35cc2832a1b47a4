/* test_zap_request.c - questions of ZeroMQ, well-formed and not.   SPDX-License-Identifier: MPL-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/zap_request.h"

static const uint8_t key[FW_KEY_BYTES] = {0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B};

static fw_bytes_t text(const char *string)
{
    return (fw_bytes_t){(const uint8_t *)string, strlen(string)};
}

static void fill(fw_bytes_t frames[FW_ZAP_FRAMES_MAX])
{
    frames[0] = text("1.0");
    frames[1] = text("17");
    frames[2] = text("jobs");
    frames[3] = text("10.0.0.7");
    frames[4] = text("");
    frames[5] = text("CURVE");
    frames[6] = (fw_bytes_t){key, sizeof key};
}

static void refuses_what_is_not_a_question_about_a_key_and_a_door(void **state)
{
    static uint8_t large[FW_ZAP_FRAME_SIZE_MAX + 1];
    const struct {
        size_t frame;
        fw_bytes_t value;
        const char *reason;
    } cases[] = {
        {0, {(const uint8_t *)"1.1", 3}, "is not of version 1.0"},
        {0, {NULL, 0}, "is not of version 1.0"},
        {1, {large, sizeof large}, "has a frame of more than 255 bytes"},
        {2, {(const uint8_t *)"job", 3}, "names a domain that is no door"},
        {2, {(const uint8_t *)"jobs\0", 5}, "names a domain that is no door"},
        {2, {NULL, 0}, "names a domain that is no door"},
        {3, {large, sizeof large}, "has a frame of more than 255 bytes"},
        {4, {large, sizeof large}, "has a frame of more than 255 bytes"},
        {5, {(const uint8_t *)"NULL", 4}, "is not about CURVE"},
        {5, {(const uint8_t *)"PLAIN", 5}, "is not about CURVE"},
        {6, {key, 31}, "has a key that is not 32 bytes"},
        {6, {large, 33}, "has a key that is not 32 bytes"},
        {6, {NULL, 0}, "has a key that is not 32 bytes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fw_bytes_t frames[FW_ZAP_FRAMES_MAX];
        fw_zap_request_t request;
        const char *reason = "";
        fill(frames);
        frames[cases[i].frame] = cases[i].value;
        assert_int_not_equal(fw_zap_request_parse(frames, FW_ZAP_FRAMES_MAX, &request, &reason), 0);
        assert_string_equal(reason, cases[i].reason);
        /* It can be answered unless that frame itself is bad. */
        assert_int_equal(request.request_id.size, cases[i].frame == 1 ? 0 : 2);
    }
}

static void refuses_any_other_number_of_frames(void **state)
{
    fw_bytes_t frames[FW_ZAP_FRAMES_MAX];
    fw_zap_request_t request;
    const char *reason = "";
    (void)state;
    fill(frames);
    for (size_t count = 0; count < FW_ZAP_FRAMES_MAX; count++) {
        assert_int_not_equal(fw_zap_request_parse(frames, count, &request, &reason), 0);
        assert_string_equal(reason, "is not seven frames");
    }
}

static void reads_the_door_the_address_and_the_key(void **state)
{
    fw_bytes_t frames[FW_ZAP_FRAMES_MAX];
    fw_zap_request_t request;
    const char *reason = "";
    (void)state;
    fill(frames);
    assert_int_equal(fw_zap_request_parse(frames, FW_ZAP_FRAMES_MAX, &request, &reason), 0);
    assert_int_equal(request.domain, FW_DOMAIN_JOBS);
    assert_string_equal(request.address, "10.0.0.7");
    assert_int_equal(strlen(request.key), FW_KEY_SIZE);
    assert_memory_equal(request.key, "HelloWorld", 10); /* the example of RFC 32 */
    frames[3] = text("a\n\x80 b");
    assert_int_equal(fw_zap_request_parse(frames, FW_ZAP_FRAMES_MAX, &request, &reason), 0);
    assert_string_equal(request.address, "a???b");
}

static void answers_so_that_who_is_refused_comes_again(void **state)
{
    fw_zap_request_t request = {.key = "k"};
    (void)state;
    assert_string_equal(fw_zap_answer(&request, FW_VERDICT_ADMITTED).status, "200");
    assert_string_equal(fw_zap_answer(&request, FW_VERDICT_ADMITTED).user_id, "k");
    assert_string_equal(fw_zap_answer(&request, FW_VERDICT_UNKNOWN_KEY).status, "300");
    assert_string_equal(fw_zap_answer(&request, FW_VERDICT_UNKNOWN_KEY).user_id, "");
    assert_string_equal(fw_zap_answer(&request, FW_VERDICT_WRONG_ROLE).status, "300");
    assert_string_equal(fw_zap_answer(&request, FW_VERDICT_WRONG_ROLE).user_id, "");
    assert_string_equal(fw_zap_answer_malformed().status, "500");
    assert_string_equal(fw_zap_answer_malformed().user_id, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_not_a_question_about_a_key_and_a_door),
        cmocka_unit_test(refuses_any_other_number_of_frames),
        cmocka_unit_test(reads_the_door_the_address_and_the_key),
        cmocka_unit_test(answers_so_that_who_is_refused_comes_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
