/* test_freshness.c - what a read may be served, and what it may store.   SPDX-License-Identifier:
 * MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/cache/read_world.h"

static void who_bypasses_is_not_served_and_does_not_wait(void **state)
{
    world_t *world = *state;
    world_fill(world);
    bool stored = false;
    fw_cache_request_t asked = world_request();
    asked.bypass = true;
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_BYPASS);
    assert_true(stored); /* What it loaded is as new as can be: others are served it. */
    fw_cache_request_t plain = world_request();
    redis_model_unlink(&world->redis, FW_TEXT("fw:c:projects:7"));
    fw_cache_read_t *other = world_begin(world, &plain);
    assert_int_equal(world_go_on(world, other), FW_CACHE_STEP_LOAD);
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_BYPASS);
    assert_false(stored);
    fw_cache_read_destroy(&other);
}

static void what_began_to_be_filled_at_the_token_is_rejected(void **state)
{
    world_t *world = *state;
    world_fill(world);
    bool stored = false;
    fw_cache_request_t asked = world_request();
    fw_cache_read_t *read = world_begin(world, &asked);
    assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_DONE);
    uint64_t start_us = fw_cache_read_outcome(read)->start_us;
    fw_cache_read_destroy(&read);
    asked.fresh_us = start_us - 1;
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_HIT);
    asked.fresh_us = start_us;
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_STALE_REJECTED);
    assert_true(stored);
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_HIT);
}

static void the_hold_off_counts_from_stamps_and_tokens(void **state)
{
    world_t *world = *state;
    bool stored = true;
    fw_cache_request_t asked = world_request();
    world->rules.hold_off_ms = 10;
    /* Stamps that were missing may be those of purges that are forgotten. */
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_MISS);
    assert_false(stored);
    assert_null(world_get(world, "fw:c:projects:7").data);
    world->redis.now_us += 11000;
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_MISS);
    assert_true(stored);
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_HIT);
    asked.fresh_us = world->redis.now_us;
    world->redis.now_us += 5000;
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_STALE_REJECTED);
    assert_false(stored);
    world->redis.now_us += 6000;
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_MISS);
    assert_true(stored);
    assert_int_equal(world_read_whole(world, &asked, &stored), FW_CACHE_HIT);
}

static fw_cache_read_t *read_inner(world_t *world, const fw_cache_request_t *asked)
{
    fw_cache_read_t *read = world_begin(world, asked);
    if (world_go_on(world, read) == FW_CACHE_STEP_LOAD) {
        fw_cache_read_loaded(read, world_value);
        world_go_on(world, read);
    }
    return read;
}

/* Otherwise a value that is rejected for its age would come back inside another, as if new. */
static void what_is_made_of_an_older_value_is_as_old(void **state)
{
    world_t *world = *state;
    fw_cache_request_t inner = world_request();
    inner.key = FW_TEXT("inner");
    inner.tags_count = 1;
    fw_cache_request_t outer = world_request();
    fw_cache_read_destroy(&(fw_cache_read_t *){read_inner(world, &inner)});
    uint64_t purged_us = world->redis.now_us;
    fw_cache_read_t *read = world_begin(world, &outer);
    assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_LOAD);
    fw_cache_read_t *part = read_inner(world, &inner);
    assert_int_equal(fw_cache_read_outcome(part)->status, FW_CACHE_HIT);
    assert_int_equal(fw_cache_read_made_of(read, part), 0);
    fw_cache_read_loaded(read, world_value);
    assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_DONE);
    assert_true(fw_cache_read_outcome(read)->stored);
    fw_cache_read_destroy(&read);
    fw_cache_read_destroy(&part);
    bool stored = false;
    assert_int_equal(world_read_whole(world, &outer, &stored), FW_CACHE_HIT);
    outer.fresh_us = purged_us;
    assert_int_equal(world_read_whole(world, &outer, &stored), FW_CACHE_STALE_REJECTED);
}

static void what_is_made_of_values_with_other_tags_is_not_stored(void **state)
{
    world_t *world = *state;
    fw_cache_request_t inner = world_request();
    inner.key = FW_TEXT("inner");
    fw_cache_request_t outer = world_request();
    outer.tags_count = 1;
    for (int fit = 0; fit <= 1; fit++) {
        /* With all tags, but made of what may lack the last commits. */
        outer.tags_count = fit ? 2 : 1;
        inner.no_store = fit;
        fw_cache_read_t *read = world_begin(world, &outer);
        assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_LOAD);
        fw_cache_read_t *part = read_inner(world, &inner);
        assert_int_equal(fw_cache_read_made_of(read, part), fit ? 0 : -EINVAL);
        fw_cache_read_loaded(read, world_value);
        assert_int_equal(world_go_on(world, read), FW_CACHE_STEP_DONE);
        assert_int_equal(fw_cache_read_outcome(read)->reason,
                         fit ? FW_CACHE_TOO_RECENT : FW_CACHE_NOT_COVERED);
        assert_null(world_get(world, "fw:c:projects:7").data);
        fw_cache_read_destroy(&read);
        fw_cache_read_destroy(&part);
    }
}

static void statuses_and_reasons_have_names(void **state)
{
    (void)state;
    assert_string_equal(fw_cache_status_name(FW_CACHE_HIT), "HIT");
    assert_string_equal(fw_cache_status_name(FW_CACHE_MISS), "MISS");
    assert_string_equal(fw_cache_status_name(FW_CACHE_BYPASS), "BYPASS");
    assert_string_equal(fw_cache_status_name(FW_CACHE_STALE_REJECTED), "STALE-REJECTED");
    for (int reason = FW_CACHE_STORED_OR_HIT; reason <= FW_CACHE_NOT_COVERED; reason++) {
        assert_true(strlen(fw_cache_reason_name((fw_cache_reason_t)reason)) > 5);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_bypasses_is_not_served_and_does_not_wait),
        TEST(what_began_to_be_filled_at_the_token_is_rejected),
        TEST(the_hold_off_counts_from_stamps_and_tokens),
        TEST(what_is_made_of_an_older_value_is_as_old),
        TEST(what_is_made_of_values_with_other_tags_is_not_stored),
        TEST(statuses_and_reasons_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
