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
        cmocka_unit_test(every_script_is_embedded_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
