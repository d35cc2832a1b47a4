/* test_policy.c - which paths are cached; the scripts.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache/policy.h"
#include "cache/scripts.h"

static bool allowed_by_default(const char *path)
{
    return fw_cache_should_cache(path, fw_cache_no_cache_default, fw_cache_no_cache_default_count);
}

static void live_paths_are_not_cached(void **state)
{
    (void)state;
    assert_false(allowed_by_default("/users/me"));
    assert_false(allowed_by_default("/api/v1/users/me/avatar"));
    assert_false(allowed_by_default("/notifications?unread=1"));
    assert_false(allowed_by_default("/projects/42"));
    assert_false(allowed_by_default("/api/teams"));
}

static void other_paths_are_cached(void **state)
{
    (void)state;
    assert_true(allowed_by_default("/settings"));
    assert_true(allowed_by_default("/users/42"));
    assert_true(allowed_by_default("/Projects"));
    assert_true(allowed_by_default(""));
}

static void an_empty_pattern_stops_everything_and_no_pattern_nothing(void **state)
{
    (void)state;
    const char *const everything[] = {"/never", ""};
    assert_false(fw_cache_should_cache("/settings", everything, 2));
    assert_true(fw_cache_should_cache("/users/me", NULL, 0));
}

static const char *control(const char *path, char value[FW_CACHE_CONTROL_SIZE])
{
    const fw_cache_control_t defaults = fw_cache_control_defaults();
    return fw_cache_control_write(&defaults, path, value);
}

static void browsers_ask_about_live_paths_each_time(void **state)
{
    (void)state;
    char value[FW_CACHE_CONTROL_SIZE];
    assert_string_equal(control("/api/v1/projects/42", value), "private, no-store");
    assert_string_equal(control("/users/me", value), "private, no-store");
    assert_string_equal(control("/dashboard", value), "private, no-store");
    /* A live part decides, whatever else is in the path. */
    assert_string_equal(control("/docs/projects", value), "private, no-store");
}

static void other_paths_are_kept_for_a_while(void **state)
{
    (void)state;
    char value[FW_CACHE_CONTROL_SIZE];
    assert_string_equal(control("/healthz", value), "public, max-age=60");
    assert_string_equal(control("/docs", value), "public, max-age=60");
    assert_string_equal(control("/settings", value), "private, max-age=10");
    const fw_cache_control_t longest = {.fixed_seconds = UINT32_MAX, .other_seconds = UINT32_MAX};
    assert_string_equal(fw_cache_control_write(&longest, "/projects", value),
                        "private, max-age=4294967295");
}

static void a_freshness_token_that_cannot_be_read_bypasses(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        uint64_t fresh_us;
        bool bypass;
    } cases[] = {
        {NULL, 0, false},
        {"", 0, false},
        {"  ", 0, false},
        {"0", 0, false},
        {"1732270000122456", UINT64_C(1732270000122456), false},
        {" 17 ", 17, false},
        {"18446744073709551615", UINT64_MAX, false},
        {"18446744073709551616", 0, true},
        {"bypass", 0, true},
        {"-1", 0, true},
        {"1.5", 0, true},
        {"17 18", 0, true},
        {"0x10", 0, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t fresh_us = 99;
        bool bypass = !cases[i].bypass;
        fw_cache_fresh_parse(cases[i].header, &fresh_us, &bypass);
        assert_int_equal(fresh_us, cases[i].fresh_us);
        assert_int_equal(bypass, cases[i].bypass);
    }
}

static void every_script_is_embedded_whole(void **state)
{
    (void)state;
    const fw_text_t scripts[] = {fw_cache_script_bump, fw_cache_script_capture,
                                 fw_cache_script_acquire, fw_cache_script_store,
                                 fw_cache_script_release};
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        assert_int_equal(strlen(scripts[i].text), scripts[i].size);
        assert_memory_equal(scripts[i].text, "-- ", 3);
        assert_int_equal(scripts[i].text[scripts[i].size - 1], '\n');
        assert_non_null(strstr(scripts[i].text, "KEYS[1]")
                            ? scripts[i].text
                            : strstr(scripts[i].text, "ipairs(KEYS)"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_paths_are_not_cached),
        cmocka_unit_test(other_paths_are_cached),
        cmocka_unit_test(an_empty_pattern_stops_everything_and_no_pattern_nothing),
        cmocka_unit_test(browsers_ask_about_live_paths_each_time),
        cmocka_unit_test(other_paths_are_kept_for_a_while),
        cmocka_unit_test(a_freshness_token_that_cannot_be_read_bypasses),
        cmocka_unit_test(every_script_is_embedded_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
