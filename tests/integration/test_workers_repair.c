/* test_workers_repair.c - workers whose broker's port was somebody else's for a while, or whose
 * broker has a name.   SPDX-License-Identifier: MPL-2.0 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "runtime/clock.h"
#include "tests/support/worker_world.h"
#include "tests/support/wrong_peer.h"

enum { TAKEN_MS = 4000, RECOVERY_MS_MAX = 10000 };

static void take_over(fw_worker_world_t *world, wrong_kind_t kind)
{
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, "a", NULL, NULL).done);
    fw_job_broker_down(world->broker);
    wrong_peer_t *wrong = wrong_peer_new(kind, fw_job_broker_endpoint(world->broker));
    int64_t begin_ms = fw_clock_ms();
    while (fw_clock_ms() - begin_ms < TAKEN_MS) {
        wrong_peer_turn(wrong);
        (void)poll(NULL, 0, 5);
    }
    assert_false(fw_health_ready(world->health, fw_clock_ms()));
    wrong_peer_destroy(&wrong);
    fw_job_broker_up(world->broker);
    begin_ms = fw_clock_ms();
    assert_true(fw_job_broker_wait_hello(world->broker, FW_PATIENCE_MS));
    assert_true(fw_worker_world_do(world, 2, "a", NULL, NULL).done);
    print_message("recovered after %lld ms\n", (long long)(fw_clock_ms() - begin_ms));
    assert_true(fw_clock_ms() - begin_ms <= RECOVERY_MS_MAX);
}

static void finds_its_broker_after_a_foreign_socket(void **state)
{
    take_over(*state, WRONG_REP);
}

static void finds_its_broker_after_garbage(void **state)
{
    take_over(*state, WRONG_GARBAGE);
}

static void finds_its_broker_by_name(void **state)
{
    fw_worker_world_t *world = *state;
    char endpoint[64];
    (void)snprintf(endpoint, sizeof(endpoint), "tcp://localhost%s",
                   strrchr(fw_job_broker_endpoint(world->broker), ':'));
    world->config.jobs_endpoint = endpoint;
    fw_worker_world_start(world);
    assert_true(fw_worker_world_do(world, 1, "a", NULL, NULL).done);
    fw_workers_stop(&world->workers);
}

#define WORLD_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, fw_worker_world_setup, fw_worker_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(finds_its_broker_after_a_foreign_socket),
        WORLD_TEST(finds_its_broker_after_garbage),
        WORLD_TEST(finds_its_broker_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
