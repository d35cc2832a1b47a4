/* test_wheel.c - many timers.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/fixture.h"

#include "gateway/wheel.h"
#include "runtime/random.h"

enum { TIMERS = 300 };

typedef struct {
    fw_wheel_node_t node; /* first */
    int fired;
    int64_t fired_ms;
} probe_t;

typedef struct {
    fw_wheel_t *wheel;
    int64_t now_ms;
    probe_t *stop;    /* to be stopped by the first that fires */
    int64_t again_ms; /* to be set anew by each that fires; 0 = not */
} scene_t;

static void fired(void *context, fw_wheel_node_t *node)
{
    scene_t *scene = context;
    probe_t *probe = (probe_t *)node;
    probe->fired++;
    probe->fired_ms = scene->now_ms;
    if (scene->stop && scene->stop != probe)
        fw_wheel_stop(&scene->stop->node);
    if (scene->again_ms)
        fw_wheel_set(scene->wheel, node, scene->now_ms + scene->again_ms);
}

static void turn(scene_t *scene, int64_t now_ms)
{
    scene->now_ms = now_ms;
    fw_wheel_turn(scene->wheel, now_ms, fired, scene);
}

static void each_fires_once_not_early_and_at_most_two_ticks_late(void **state)
{
    (void)state;
    static probe_t probes[TIMERS];
    fw_random_t random = {5};
    scene_t scene = {.wheel = fw_wheel_new(1000)};
    for (int i = 0; i < TIMERS; i++) {
        probes[i] = (probe_t){.fired = 0};
        fw_wheel_set(scene.wheel, &probes[i].node,
                     1000 + (int64_t)fw_random_below(&random, 150000));
    }
    for (int64_t now = 1000; now <= 152000; now += FW_WHEEL_TICK_MS)
        turn(&scene, now);
    for (int i = 0; i < TIMERS; i++) {
        assert_int_equal(probes[i].fired, 1);
        int64_t late = probes[i].fired_ms - probes[i].node.deadline_ms;
        assert_true(late >= 0);
        assert_true(late <= 2 * FW_WHEEL_TICK_MS);
    }
    fw_wheel_destroy(&scene.wheel);
}

static void a_stopped_timer_and_one_stopped_by_another_do_not_fire(void **state)
{
    (void)state;
    probe_t first = {.fired = 0}, second = {.fired = 0}, third = {.fired = 0};
    scene_t scene = {.wheel = fw_wheel_new(0), .stop = &second};
    fw_wheel_set(scene.wheel, &first.node, 100);
    fw_wheel_set(scene.wheel, &second.node, 100);
    fw_wheel_set(scene.wheel, &third.node, 100);
    fw_wheel_stop(&third.node);
    fw_wheel_stop(&third.node);
    turn(&scene, 1000);
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 0);
    assert_int_equal(third.fired, 0);
    fw_wheel_destroy(&scene.wheel);
}

static void setting_again_moves_it_and_firing_may_set_it(void **state)
{
    (void)state;
    probe_t probe = {.fired = 0};
    scene_t scene = {.wheel = fw_wheel_new(0), .again_ms = 200};
    fw_wheel_set(scene.wheel, &probe.node, 100);
    fw_wheel_set(scene.wheel, &probe.node, 500);
    turn(&scene, 400);
    assert_int_equal(probe.fired, 0);
    for (int64_t now = 450; now <= 1600; now += 50)
        turn(&scene, now);
    assert_in_range(probe.fired, 4, 5);
    fw_wheel_destroy(&scene.wheel);
    assert_null(probe.node.next);
}

static void a_long_stall_loses_no_timer(void **state)
{
    (void)state;
    probe_t past = {.fired = 0}, far = {.fired = 0};
    scene_t scene = {.wheel = fw_wheel_new(0)};
    fw_wheel_set(scene.wheel, &past.node, 0);
    fw_wheel_set(scene.wheel, &far.node, 900000);
    turn(&scene, 800000);
    assert_int_equal(past.fired, 1);
    assert_int_equal(far.fired, 0);
    turn(&scene, 2000000);
    assert_int_equal(far.fired, 1);
    fw_wheel_destroy(&scene.wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fires_once_not_early_and_at_most_two_ticks_late),
        cmocka_unit_test(a_stopped_timer_and_one_stopped_by_another_do_not_fire),
        cmocka_unit_test(setting_again_moves_it_and_firing_may_set_it),
        cmocka_unit_test(a_long_stall_loses_no_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
