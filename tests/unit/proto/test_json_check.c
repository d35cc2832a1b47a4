/* test_json_check.c - exactly one JSON value, judged beside jansson. Seed: FW_TEST_SEED.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "proto/json_check.h"

enum { RANDOM_TEXTS = 200 * 1000, TOKENS_MAX = 12, TEXT_MAX = 256 };

static bool valid(const char *text, size_t size)
{
    char *exact = malloc(size ? size : 1); /* so that a read too far is seen */
    assert_non_null(exact);
    if (size > 0)
        memcpy(exact, text, size);
    bool result = fw_json_valid((fw_bytes_t){(const uint8_t *)exact, size});
    free(exact);
    return result;
}

static const char *const bad[] = {
    "",
    " ",
    "{",
    "}",
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1}",
    "{]",
    "{1:2}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,}",
    "{\"a\" 1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1}}",
    "[]]",
    "1 2",
    "{}{}",
    "{},\"channel\":\"room:secret\"",
    "{}\n{}",
    "nul",
    "nulll",
    "True",
    "NaN",
    "Infinity",
    "-",
    "+1",
    "01",
    "-01",
    "1.",
    ".5",
    "1e",
    "1e+",
    "0x10",
    "1_000",
    "--1",
    "\"",
    "\"a",
    "\"\\\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\",
    "\"\\u",
    "\"\n\"",
    "\"\t\"",
    "'a'",
    "//",
    "/**/1",
    "\"\xff\"",
    "\"\xed\xa0\x80\"",
    "\xef\xbb\xbf{}",
    "\x0b",
    "1\xc2\xa0",
    "[1,2",
    "{\"a\":[1,{\"b\":2}}",
    "a",
    "{a:1}",
};

static void refuses_what_is_not_exactly_one_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (valid(bad[i], strlen(bad[i])))
            fail_msg("%s is taken for a value", bad[i]);
    assert_false(valid("1\0", 2));
    assert_false(valid("\"\0\"", 3));
    assert_false(fw_json_valid((fw_bytes_t){NULL, 0}));
}

static void accepts_every_form_of_value(void **state)
{
    static const char *const good[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1",
        "10",
        "1.5",
        "-1.5e10",
        "1E-2",
        "1e+400",
        "123456789012345678901234567890",
        "\"\"",
        "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00fC\"",
        "\"\\ud800\"",
        "\"Gr\xc3\xbc\xc3\x9f\"",
        "\"\x7f\"",
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "[1]",
        " \t\r\n[ 1 , [ ] , { } , \"a\" ]\n",
        "{\"a\":1}",
        "{ \"a\" : { \"b\" : [ 1 , 2 ] } , \"\" : null }",
        "[[],[[]],{}]",
        "{\"a\":1,\"a\":2}",
        "[1,{\"a\":[true,{\"b\":null}]},\"x\"]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!valid(good[i], strlen(good[i])))
            fail_msg("%s is not taken for a value", good[i]);
}

static void nests_to_its_limit_and_no_deeper(void **state)
{
    static const char *const forms[][2] = {{"[", "]"}, {"{\"a\":", "}"}};
    (void)state;
    for (size_t form = 0; form < 2; form++) {
        for (size_t depth = FW_JSON_DEPTH_MAX - 1; depth <= FW_JSON_DEPTH_MAX + 1; depth++) {
            char text[1024] = "";
            for (size_t i = 0; i < depth; i++)
                (void)strncat(text, forms[form][0], sizeof text - strlen(text) - 1);
            (void)strncat(text, "1", sizeof text - strlen(text) - 1);
            for (size_t i = 0; i < depth; i++)
                (void)strncat(text, forms[form][1], sizeof text - strlen(text) - 1);
            assert_int_equal(valid(text, strlen(text)), depth <= FW_JSON_DEPTH_MAX);
        }
    }
}

static void refuses_a_megabyte_of_brackets_without_a_deep_stack(void **state)
{
    enum { SIZE = 1024 * 1024 };
    char *text = malloc(SIZE);
    (void)state;
    assert_non_null(text);
    memset(text, '[', SIZE);
    assert_false(valid(text, SIZE));
    free(text);
}

static uint64_t next_random(uint64_t *random)
{
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    return (*random * UINT64_C(2685821657736338717)) >> 33;
}

/* Without what jansson refuses beyond the standard: numbers out of range, lone surrogates. */
static void agrees_with_jansson_on_random_texts(void **state)
{
    static const char *const tokens[] = {
        "{",       "}",     "[",       "]",   ",",  ":",        "\"",   "\"a\"", "\"\"", "null",
        "true",    "false", "1",       "0",   "-",  ".5",       "e1",   " ",     "\n",   "\\",
        "\\u00e9", "a",     "{\"a\":", "[1,", "}]", "\xc3\xbc", "\xff", "\x01",
    };
    const char *seed = getenv("FW_TEST_SEED");
    uint64_t random = (seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL)) | 1;
    int accepted = 0;
    (void)state;
    print_message("FW_TEST_SEED=%llu\n", (unsigned long long)random);
    for (int i = 0; i < RANDOM_TEXTS; i++) {
        char text[TEXT_MAX] = "";
        uint64_t count = 1 + next_random(&random) % TOKENS_MAX;
        for (uint64_t k = 0; k < count; k++)
            (void)strncat(text, tokens[next_random(&random) % (sizeof tokens / sizeof *tokens)],
                          sizeof text - strlen(text) - 1);
        json_t *value = json_loadb(text, strlen(text), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (valid(text, strlen(text)) != (value != NULL))
            fail_msg("jansson %s: %s", value ? "accepts" : "refuses", text);
        accepted += value != NULL;
        json_decref(value);
    }
    print_message("%d of %d are values\n", accepted, RANDOM_TEXTS);
    assert_true(accepted > RANDOM_TEXTS / 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_not_exactly_one_value),
        cmocka_unit_test(accepts_every_form_of_value),
        cmocka_unit_test(nests_to_its_limit_and_no_deeper),
        cmocka_unit_test(refuses_a_megabyte_of_brackets_without_a_deep_stack),
        cmocka_unit_test(agrees_with_jansson_on_random_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
