/* test_health.c - dead, unready and ready are told apart.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/clock.h"
#include "runtime/health.h"

static void assert_render(fw_health_t *health, int64_t now_ms, const char *expected)
{
    char *text = fw_health_render(health, now_ms);
    assert_string_equal(text, expected);
    free(text);
}

static void a_silent_actor_is_dead_after_five_seconds(void **state)
{
    (void)state;
    fw_health_t *health = fw_health_new();
    fw_pulse_t *pulse = fw_health_pulse(health, "broker");
    fw_pulse_t *other = fw_health_pulse(health, "admin");
    fw_pulse_beat(pulse, 1000);
    fw_pulse_beat(other, 6000);
    assert_true(fw_health_live(health, 6000));
    assert_true(fw_health_ready(health, 6000));
    assert_false(fw_health_live(health, 6001));
    assert_false(fw_health_ready(health, 6001));
    assert_render(
        health, 6001,
        "{\"status\":\"dead\",\"draining\":false,\"actors\":{\"broker\":5001,\"admin\":1},"
        "\"conditions\":{},\"degraded\":{}}\n");
    fw_pulse_beat(pulse, 6002);
    assert_true(fw_health_live(health, 6002));
    fw_health_destroy(&health);
    assert_null(health);
    fw_health_destroy(&health);
}

static void a_condition_that_does_not_hold_makes_it_unready_but_not_dead(void **state)
{
    (void)state;
    fw_health_t *health = fw_health_new();
    fw_pulse_beat(fw_health_pulse(health, "shard"), 100);
    fw_condition_t *link = fw_health_condition(health, "broker \"link\"");
    assert_false(fw_health_ready(health, 100));
    assert_true(fw_health_live(health, 100));
    assert_render(health, 100,
                  "{\"status\":\"unready\",\"draining\":false,\"actors\":{\"shard\":0},"
                  "\"conditions\":{\"broker \\\"link\\\"\":false},\"degraded\":{}}\n");
    fw_condition_set(link, true);
    assert_true(fw_health_ready(health, 100));
    assert_render(health, 100,
                  "{\"status\":\"ok\",\"draining\":false,\"actors\":{\"shard\":0},"
                  "\"conditions\":{\"broker \\\"link\\\"\":true},\"degraded\":{}}\n");
    fw_condition_set(link, false);
    assert_false(fw_health_ready(health, 100));
    fw_health_destroy(&health);
}

static void what_is_degraded_is_shown_and_keeps_it_ready(void **state)
{
    (void)state;
    fw_health_t *health = fw_health_new();
    fw_condition_t *link = fw_health_degraded(health, "broker link");
    assert_true(fw_health_ready(health, 100));
    fw_condition_set(link, true);
    assert_true(fw_health_ready(health, 100));
    assert_render(health, 100,
                  "{\"status\":\"ok\",\"draining\":false,\"actors\":{},\"conditions\":{},"
                  "\"degraded\":{\"broker link\":true}}\n");
    fw_health_destroy(&health);
}

static void draining_makes_it_unready_for_good(void **state)
{
    (void)state;
    fw_health_t *health = fw_health_new();
    assert_true(fw_health_ready(health, 0));
    fw_health_set_draining(health);
    assert_false(fw_health_ready(health, 0));
    assert_true(fw_health_live(health, 0));
    assert_render(health, 0,
                  "{\"status\":\"unready\",\"draining\":true,\"actors\":{},\"conditions\":{},"
                  "\"degraded\":{}}\n");
    fw_health_destroy(&health);
}

static void an_actor_that_ended_on_purpose_is_not_missed(void **state)
{
    (void)state;
    fw_health_t *health = fw_health_new();
    fw_pulse_t *pulse = fw_health_pulse(health, "purger");
    fw_pulse_beat(pulse, 0);
    assert_false(fw_health_live(health, 60000));
    fw_pulse_end(pulse);
    assert_true(fw_health_live(health, 60000));
    assert_render(
        health, 60000,
        "{\"status\":\"ok\",\"draining\":false,\"actors\":{},\"conditions\":{},\"degraded\":{}}\n");
    fw_health_destroy(&health);
}

static void a_pulse_begins_alive_and_a_later_beat_has_age_zero(void **state)
{
    (void)state;
    fw_health_t *health = fw_health_new();
    fw_pulse_t *pulse = fw_health_pulse(health, "new");
    assert_true(fw_health_live(health, fw_clock_ms()));
    fw_pulse_beat(pulse, 5000);
    assert_render(health, 4999,
                  "{\"status\":\"ok\",\"draining\":false,\"actors\":{\"new\":0},"
                  "\"conditions\":{},\"degraded\":{}}\n");
    fw_health_destroy(&health);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_actor_is_dead_after_five_seconds),
        cmocka_unit_test(a_condition_that_does_not_hold_makes_it_unready_but_not_dead),
        cmocka_unit_test(what_is_degraded_is_shown_and_keeps_it_ready),
        cmocka_unit_test(draining_makes_it_unready_for_good),
        cmocka_unit_test(an_actor_that_ended_on_purpose_is_not_missed),
        cmocka_unit_test(a_pulse_begins_alive_and_a_later_beat_has_age_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
