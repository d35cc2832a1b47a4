/* test_liveness.c - Hello, Ping, silence and what follows.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clients/c/liveness.h"

static fw_liveness_t opened_at(int64_t now_ms)
{
    fw_liveness_t self = fw_liveness_make(3);
    assert_int_equal(fw_liveness_next(&self, now_ms), FW_LIVENESS_OPEN);
    fw_liveness_opened(&self, now_ms);
    return self;
}

static fw_liveness_t up_at(int64_t now_ms)
{
    fw_liveness_t self = opened_at(now_ms);
    assert_int_equal(fw_liveness_next(&self, now_ms), FW_LIVENESS_SEND_HELLO);
    assert_true(fw_liveness_welcomed(&self, now_ms));
    return self;
}

static void says_hello_every_second_until_welcome(void **state)
{
    (void)state;
    fw_liveness_t self = opened_at(100);
    assert_int_equal(fw_liveness_next(&self, 100), FW_LIVENESS_SEND_HELLO);
    assert_int_equal(fw_liveness_next(&self, 100), FW_LIVENESS_WAIT);
    assert_int_equal(fw_liveness_deadline_ms(&self), 1100);
    assert_int_equal(fw_liveness_next(&self, 1099), FW_LIVENESS_WAIT);
    assert_int_equal(fw_liveness_next(&self, 1100), FW_LIVENESS_SEND_HELLO);
    assert_true(fw_liveness_welcomed(&self, 1200));
    assert_int_equal(self.state, FW_LIVENESS_UP);
    assert_int_equal(fw_liveness_next(&self, 2199), FW_LIVENESS_WAIT);
    assert_int_equal(fw_liveness_next(&self, 2200), FW_LIVENESS_SEND_PING);
}

static void asks_again_soon_while_the_address_is_looked_up(void **state)
{
    (void)state;
    fw_liveness_t self = fw_liveness_make(3);
    int64_t now_ms = 0;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(fw_liveness_next(&self, now_ms), FW_LIVENESS_OPEN);
        fw_liveness_opening(&self, now_ms);
        assert_int_equal(fw_liveness_next(&self, now_ms), FW_LIVENESS_WAIT);
        now_ms = fw_liveness_deadline_ms(&self);
    }
    assert_int_equal(now_ms, 1000 * FW_LIVENESS_OPENING_MS);
    fw_liveness_opened(&self, now_ms);
    assert_int_equal(fw_liveness_next(&self, now_ms), FW_LIVENESS_SEND_HELLO);
}

static void gives_up_a_socket_on_which_nothing_is_ever_heard(void **state)
{
    (void)state;
    fw_liveness_t self = opened_at(0);
    for (int64_t now_ms = 0; now_ms < FW_LIVENESS_SILENCE_MS; now_ms += FW_LIVENESS_INTERVAL_MS)
        assert_int_equal(fw_liveness_next(&self, now_ms), FW_LIVENESS_SEND_HELLO);
    assert_int_equal(fw_liveness_next(&self, FW_LIVENESS_SILENCE_MS), FW_LIVENESS_CLOSE);
    assert_int_equal(self.state, FW_LIVENESS_CLOSED);
    int64_t reopen_ms = fw_liveness_deadline_ms(&self);
    assert_in_range(reopen_ms, FW_LIVENESS_SILENCE_MS,
                    FW_LIVENESS_SILENCE_MS + FW_LIVENESS_REOPEN_BASE_MS);
    assert_int_equal(fw_liveness_next(&self, reopen_ms), FW_LIVENESS_OPEN);
}

static void gives_up_a_link_that_fell_silent_and_waits_longer_each_time(void **state)
{
    (void)state;
    fw_liveness_t self = up_at(0);
    int64_t now_ms = 0;
    for (; now_ms < FW_LIVENESS_SILENCE_MS; now_ms += 500)
        assert_int_not_equal(fw_liveness_next(&self, now_ms), FW_LIVENESS_CLOSE);
    assert_int_equal(fw_liveness_next(&self, now_ms), FW_LIVENESS_CLOSE);
    int64_t longest_ms = 0;
    for (int i = 0; i < 200; i++) {
        fw_liveness_lost(&self, now_ms);
        int64_t wait_ms = fw_liveness_deadline_ms(&self) - now_ms;
        assert_in_range(wait_ms, 0, FW_LIVENESS_REOPEN_MS_MAX);
        longest_ms = wait_ms > longest_ms ? wait_ms : longest_ms;
    }
    assert_true(longest_ms > FW_LIVENESS_REOPEN_MS_MAX / 2);
}

static void any_valid_message_keeps_the_link(void **state)
{
    (void)state;
    fw_liveness_t self = up_at(0);
    for (int64_t now_ms = 0; now_ms < 20000; now_ms += 500) {
        assert_int_not_equal(fw_liveness_next(&self, now_ms), FW_LIVENESS_CLOSE);
        if (now_ms % 2500 == 0)
            fw_liveness_heard(&self, now_ms);
    }
}

static void does_not_take_its_owners_own_pause_for_silence(void **state)
{
    (void)state;
    fw_liveness_t self = up_at(0);
    /* The owner was away for a minute: nobody pinged, so nobody could answer. */
    assert_int_equal(fw_liveness_next(&self, 60000), FW_LIVENESS_SEND_PING);
    assert_int_equal(fw_liveness_next(&self, 60500), FW_LIVENESS_WAIT);
    assert_int_equal(fw_liveness_next(&self, 61000), FW_LIVENESS_CLOSE);
}

static void tries_again_soon_while_there_is_no_connection(void **state)
{
    (void)state;
    fw_liveness_t self = opened_at(0);
    assert_int_equal(fw_liveness_next(&self, 0), FW_LIVENESS_SEND_HELLO);
    fw_liveness_blocked(&self, 0);
    assert_int_equal(fw_liveness_deadline_ms(&self), FW_LIVENESS_BLOCKED_MS);
    assert_int_equal(fw_liveness_next(&self, FW_LIVENESS_BLOCKED_MS), FW_LIVENESS_SEND_HELLO);
}

static void says_hello_again_when_refused_but_not_in_a_storm(void **state)
{
    (void)state;
    fw_liveness_t self = up_at(0);
    fw_liveness_heard(&self, 5000);
    fw_liveness_hello_again(&self, 5000);
    assert_int_equal(self.state, FW_LIVENESS_HELLO);
    assert_int_equal(fw_liveness_next(&self, 5000), FW_LIVENESS_SEND_HELLO);
    assert_true(fw_liveness_welcomed(&self, 5001));
    fw_liveness_hello_again(&self, 5002);
    assert_int_equal(fw_liveness_next(&self, 5002), FW_LIVENESS_WAIT);
    assert_int_equal(fw_liveness_deadline_ms(&self), 6000);
}

static void a_second_welcome_is_no_new_link(void **state)
{
    (void)state;
    fw_liveness_t self = up_at(0);
    assert_false(fw_liveness_welcomed(&self, 10));
    assert_int_equal(fw_liveness_deadline_ms(&self), FW_LIVENESS_INTERVAL_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_hello_every_second_until_welcome),
        cmocka_unit_test(asks_again_soon_while_the_address_is_looked_up),
        cmocka_unit_test(gives_up_a_socket_on_which_nothing_is_ever_heard),
        cmocka_unit_test(gives_up_a_link_that_fell_silent_and_waits_longer_each_time),
        cmocka_unit_test(any_valid_message_keeps_the_link),
        cmocka_unit_test(does_not_take_its_owners_own_pause_for_silence),
        cmocka_unit_test(tries_again_soon_while_there_is_no_connection),
        cmocka_unit_test(says_hello_again_when_refused_but_not_in_a_storm),
        cmocka_unit_test(a_second_welcome_is_no_new_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
