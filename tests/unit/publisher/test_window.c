/* test_window.c - every event leaves the window once, and no sooner than it may.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/c/window.h"
#include "runtime/alloc.h"
#include "runtime/random.h"

enum { IN_FLIGHT_MAX = 8, TIMEOUT_MS = 30000, NEVER_SENT_ID = 9999 };

static fw_window_t *make_window(uint32_t in_flight_max)
{
    fw_window_options_t options = {
        .in_flight_max = in_flight_max, .timeout_ms = TIMEOUT_MS, .seed = 7};
    fw_window_t *window = fw_window_new(&options);
    assert_non_null(window);
    return window;
}

static uint64_t add(fw_window_t *window, int64_t now_ms)
{
    uint64_t request_id = fw_window_next_id(window);
    fw_bytes_t frame = {(const uint8_t *)&request_id, sizeof request_id};
    assert_int_equal(fw_window_add(window, frame, now_ms), 0);
    return request_id;
}

/* Puts the next frame on the wire; 0 when there is none. The frame must be the one that was added
 * with the id. */
static uint64_t send_next(fw_window_t *window, int64_t now_ms)
{
    uint64_t request_id = 0;
    uint64_t content = 0;
    fw_bytes_t frame;
    unsigned attempt = 0;
    if (!fw_window_next(window, now_ms, &request_id, &frame, &attempt))
        return 0;
    assert_int_equal(frame.size, sizeof content);
    memcpy(&content, frame.data, sizeof content);
    assert_int_equal(content, request_id);
    fw_window_sent(window, request_id, now_ms);
    return request_id;
}

static fw_window_verdict_t answer(fw_window_t *window, uint64_t request_id,
                                  fw_publish_status_t status, int64_t now_ms)
{
    return fw_window_answer(window, request_id, status, 0, now_ms);
}

static void refuses_options_out_of_range(void **state)
{
    (void)state;
    const fw_window_options_t bad[] = {
        {.in_flight_max = 0, .timeout_ms = 1},
        {.in_flight_max = FW_WINDOW_IN_FLIGHT_MAX + 1, .timeout_ms = 1},
        {.in_flight_max = 1, .timeout_ms = 0},
        {.in_flight_max = 1, .timeout_ms = -1},
        {.in_flight_max = 1, .timeout_ms = (int64_t)FW_WINDOW_TIMEOUT_MS_MAX + 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(fw_window_new(&bad[i]));
}

static void refuses_more_than_in_flight_max(void **state)
{
    (void)state;
    fw_window_t *window = make_window(2);
    (void)add(window, 0);
    (void)add(window, 0);
    assert_true(fw_window_full(window));
    assert_int_equal(fw_window_add(window, (fw_bytes_t){(const uint8_t *)"x", 1}, 0), -EAGAIN);
    assert_int_equal(fw_window_count(window), 2);
    assert_int_equal(fw_window_next_id(window), 3);
    fw_window_destroy(&window);
    assert_null(window);
}

static void refuses_more_than_the_credit_of_an_open_link(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    fw_window_open(window, 1);
    (void)add(window, 0);
    assert_true(fw_window_full(window));
    assert_int_equal(fw_window_add(window, (fw_bytes_t){(const uint8_t *)"x", 1}, 0), -EAGAIN);
    fw_window_set_credit(window, 2);
    assert_false(fw_window_full(window));
    fw_window_destroy(&window);
}

static void refuses_more_bytes_than_bound_but_takes_any_single_frame(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    size_t size = FW_WINDOW_BYTES_MAX / 2 + 1;
    uint8_t *big = fw_alloc(size, 1);
    assert_int_equal(fw_window_add(window, (fw_bytes_t){big, size}, 0), 0);
    assert_int_equal(fw_window_add(window, (fw_bytes_t){big, size}, 0), -EAGAIN);
    assert_int_equal(fw_window_bytes(window), size);
    free(big);
    fw_window_destroy(&window);
}

static void sends_nothing_while_the_link_is_closed(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    uint64_t first = add(window, 0);
    assert_int_equal(send_next(window, 0), 0);
    assert_int_equal(fw_window_deadline_ms(window, 0), TIMEOUT_MS);
    fw_window_open(window, 10);
    assert_int_equal(fw_window_deadline_ms(window, 5), 5);
    assert_int_equal(send_next(window, 0), first);
    fw_window_destroy(&window);
}

static void ignores_answers_to_what_was_never_sent(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    uint64_t first = add(window, 0);
    assert_int_equal(answer(window, first, FW_PUBLISH_OK, 0), FW_WINDOW_UNKNOWN);
    assert_int_equal(answer(window, NEVER_SENT_ID, FW_PUBLISH_OK, 0), FW_WINDOW_UNKNOWN);
    assert_int_equal(answer(window, 0, FW_PUBLISH_OK, 0), FW_WINDOW_UNKNOWN);
    assert_int_equal(fw_window_count(window), 1);
    fw_window_destroy(&window);
}

static void ignores_a_second_answer(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    fw_window_open(window, 10);
    uint64_t first = add(window, 0);
    assert_int_equal(send_next(window, 0), first);
    assert_int_equal(answer(window, first, FW_PUBLISH_OK, 1), FW_WINDOW_ENDED);
    assert_int_equal(answer(window, first, FW_PUBLISH_DUPLICATE, 2), FW_WINDOW_UNKNOWN);
    assert_int_equal(fw_window_wire_count(window), 0);
    assert_int_equal(fw_window_deadline_ms(window, 3), INT64_MAX);
    fw_window_destroy(&window);
}

static void ignores_a_status_that_is_none(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    fw_window_open(window, 10);
    uint64_t first = add(window, 0);
    assert_int_equal(send_next(window, 0), first);
    assert_int_equal(answer(window, first, (fw_publish_status_t)77, 1), FW_WINDOW_UNKNOWN);
    assert_int_equal(fw_window_count(window), 1);
    fw_window_destroy(&window);
}

static void keeps_no_more_on_the_wire_than_the_credit(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    for (int i = 0; i < 5; i++)
        (void)add(window, 0);
    fw_window_open(window, 2);
    assert_int_equal(send_next(window, 0), 1);
    assert_int_equal(send_next(window, 0), 2);
    assert_int_equal(send_next(window, 0), 0);
    assert_int_equal(fw_window_wire_count(window), 2);
    assert_int_equal(answer(window, 1, FW_PUBLISH_REJECTED, 0), FW_WINDOW_ENDED);
    assert_int_equal(send_next(window, 0), 3);
    fw_window_set_credit(window, 1);
    assert_int_equal(answer(window, 2, FW_PUBLISH_OK, 0), FW_WINDOW_ENDED);
    assert_int_equal(send_next(window, 0), 0);
    assert_int_equal(answer(window, 3, FW_PUBLISH_OK, 0), FW_WINDOW_ENDED);
    assert_int_equal(send_next(window, 0), 4);
    fw_window_destroy(&window);
}

static void sends_nothing_at_all_without_credit(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    fw_window_open(window, 4);
    uint64_t first = add(window, 0);
    assert_int_equal(send_next(window, 0), first);
    fw_window_set_credit(window, 0);
    assert_int_equal(send_next(window, TIMEOUT_MS - 1), 0);
    assert_int_equal(fw_window_deadline_ms(window, 1000), TIMEOUT_MS);
    fw_window_set_credit(window, 1);
    assert_int_equal(send_next(window, TIMEOUT_MS - 1), first);
    fw_window_destroy(&window);
}

static void sends_again_what_stays_unanswered_with_growing_waits(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    fw_window_open(window, 1);
    uint64_t first = add(window, 0);
    int64_t now_ms = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(send_next(window, now_ms), first);
        int64_t due_ms = fw_window_deadline_ms(window, now_ms);
        assert_true(due_ms >= now_ms + FW_WINDOW_ANSWER_MS);
        assert_true(due_ms <= now_ms + FW_WINDOW_ANSWER_MS + (500 << i));
        assert_int_equal(send_next(window, due_ms - 1), 0);
        now_ms = due_ms;
    }
    assert_int_equal(fw_window_wire_count(window), 1);
    assert_int_equal(answer(window, first, FW_PUBLISH_DUPLICATE, now_ms), FW_WINDOW_ENDED);
    fw_window_destroy(&window);
}

static void waits_as_long_as_the_broker_asks_before_a_retry(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    fw_window_open(window, 10);
    uint64_t first = add(window, 0);
    uint64_t second = add(window, 0);
    assert_int_equal(send_next(window, 0), first);
    assert_int_equal(fw_window_answer(window, first, FW_PUBLISH_RETRY, 700, 100), FW_WINDOW_AGAIN);
    assert_int_equal(fw_window_wire_count(window), 0);
    assert_int_equal(send_next(window, 101), second);
    assert_int_equal(answer(window, second, FW_PUBLISH_OK, 102), FW_WINDOW_ENDED);
    assert_int_equal(send_next(window, 799), 0);
    assert_int_equal(send_next(window, 800 + 2000), first);
    fw_window_destroy(&window);
}

static void holds_everything_back_while_the_broker_is_overloaded(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    fw_window_open(window, 10);
    uint64_t first = add(window, 0);
    uint64_t second = add(window, 0);
    assert_int_equal(send_next(window, 0), first);
    assert_int_equal(fw_window_answer(window, first, FW_PUBLISH_OVERLOAD, 700, 100),
                     FW_WINDOW_AGAIN);
    assert_int_equal(send_next(window, 799), 0);
    assert_int_equal(fw_window_deadline_ms(window, 101), 800);
    assert_int_equal(send_next(window, 800), second);
    fw_window_destroy(&window);
}

static void cuts_a_wait_that_no_broker_would_ask_for(void **state)
{
    (void)state;
    fw_window_options_t options = {
        .in_flight_max = 1, .timeout_ms = FW_WINDOW_TIMEOUT_MS_MAX, .seed = 1};
    fw_window_t *window = fw_window_new(&options);
    fw_window_open(window, 10);
    uint64_t first = add(window, 0);
    assert_int_equal(send_next(window, 0), first);
    assert_int_equal(fw_window_answer(window, first, FW_PUBLISH_OVERLOAD, UINT32_MAX, 0),
                     FW_WINDOW_AGAIN);
    assert_int_equal(send_next(window, FW_WINDOW_RETRY_AFTER_MS_MAX + 2000), first);
    fw_window_destroy(&window);
}

static void keeps_its_place_when_a_late_refusal_follows_a_resend(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    fw_window_open(window, 10);
    uint64_t first = add(window, 0);
    assert_int_equal(send_next(window, 0), first);
    fw_window_close(window);
    assert_int_equal(answer(window, first, FW_PUBLISH_RETRY, 10), FW_WINDOW_AGAIN);
    fw_window_open(window, 10);
    assert_int_equal(send_next(window, 10), first);
    assert_int_equal(answer(window, first, FW_PUBLISH_OK, 11), FW_WINDOW_ENDED);
    fw_window_destroy(&window);
}

static void sends_all_unacknowledged_again_by_age_on_a_new_link(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    fw_window_open(window, 3);
    for (int i = 0; i < 3; i++)
        (void)add(window, 0);
    for (uint64_t id = 1; id <= 3; id++)
        assert_int_equal(send_next(window, 0), id);
    assert_int_equal(answer(window, 2, FW_PUBLISH_OK, 1), FW_WINDOW_ENDED);
    fw_window_close(window);
    assert_int_equal(fw_window_wire_count(window), 0);
    assert_int_equal(add(window, 2), 4);
    fw_window_open(window, 3);
    assert_int_equal(send_next(window, 3), 1);
    assert_int_equal(send_next(window, 3), 3);
    assert_int_equal(send_next(window, 3), 4);
    fw_window_destroy(&window);
}

static void opening_again_without_closing_is_a_new_link(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    fw_window_open(window, 3);
    uint64_t first = add(window, 0);
    assert_int_equal(send_next(window, 0), first);
    assert_int_equal(send_next(window, 0), 0);
    fw_window_open(window, 3);
    assert_int_equal(send_next(window, 0), first);
    fw_window_destroy(&window);
}

static void gives_up_in_the_order_of_age(void **state)
{
    (void)state;
    fw_window_t *window = make_window(IN_FLIGHT_MAX);
    fw_window_open(window, 1);
    uint64_t first = add(window, 0);
    fw_window_set_credit(window, 5);
    uint64_t second = add(window, 10);
    uint64_t expired = 0;
    assert_int_equal(send_next(window, 0), first);
    assert_false(fw_window_expire(window, TIMEOUT_MS - 1, &expired));
    assert_true(fw_window_expire(window, TIMEOUT_MS, &expired));
    assert_int_equal(expired, first);
    assert_false(fw_window_expire(window, TIMEOUT_MS, &expired));
    assert_int_equal(answer(window, first, FW_PUBLISH_OK, TIMEOUT_MS), FW_WINDOW_UNKNOWN);
    assert_true(fw_window_cancel(window, &expired));
    assert_int_equal(expired, second);
    assert_false(fw_window_cancel(window, &expired));
    assert_int_equal(fw_window_bytes(window), 0);
    fw_window_destroy(&window);
}

/* The randomised test's own view: what each id went through. */
enum { RANDOM_STEPS = 40000, RANDOM_IN_FLIGHT_MAX = 40 };

typedef struct {
    fw_window_t *window;
    fw_random_t random;
    int64_t now_ms;
    uint8_t ended[RANDOM_STEPS + 1];         /* times that an id left the window */
    uint64_t wire[RANDOM_IN_FLIGHT_MAX * 4]; /* ids whose answer may still come */
    size_t wire_count;
    uint64_t added, left;
} model_t;

static void model_leave(model_t *model, uint64_t request_id)
{
    assert_in_range(request_id, 1, model->added);
    assert_int_equal(model->ended[request_id], 0);
    model->ended[request_id] = 1;
    model->left++;
}

static void model_answer(model_t *model)
{
    if (model->wire_count == 0)
        return;
    size_t index = (size_t)fw_random_below(&model->random, model->wire_count);
    uint64_t request_id = model->wire[index];
    /* Every fourth answer comes again later, as after a resend. */
    if (fw_random_below(&model->random, 4) != 0)
        model->wire[index] = model->wire[--model->wire_count];
    fw_publish_status_t status = (fw_publish_status_t)(1 + fw_random_below(&model->random, 5));
    uint32_t retry_after_ms = (uint32_t)fw_random_below(&model->random, 300);
    fw_window_verdict_t verdict =
        fw_window_answer(model->window, request_id, status, retry_after_ms, model->now_ms);
    if (model->ended[request_id])
        assert_int_equal(verdict, FW_WINDOW_UNKNOWN);
    else if (status == FW_PUBLISH_RETRY || status == FW_PUBLISH_OVERLOAD)
        assert_int_equal(verdict, FW_WINDOW_AGAIN);
    else
        assert_int_equal(verdict, FW_WINDOW_ENDED);
    if (verdict == FW_WINDOW_ENDED)
        model_leave(model, request_id);
}

static void model_send(model_t *model)
{
    uint64_t request_id;
    while ((request_id = send_next(model->window, model->now_ms)) != 0) {
        assert_int_equal(model->ended[request_id], 0);
        if (model->wire_count < sizeof model->wire / sizeof *model->wire)
            model->wire[model->wire_count++] = request_id;
    }
    assert_true(fw_window_deadline_ms(model->window, model->now_ms) > model->now_ms);
}

static void model_step(model_t *model)
{
    uint64_t request_id = 0;
    uint64_t dice = fw_random_below(&model->random, 100);
    if (dice < 40 && !fw_window_full(model->window)) {
        (void)add(model->window, model->now_ms);
        model->added++;
    } else if (dice < 75) {
        model_answer(model);
    } else if (dice < 90) {
        model->now_ms += (int64_t)fw_random_below(&model->random, 1500);
    } else if (dice < 95) {
        fw_window_set_credit(model->window,
                             (uint32_t)fw_random_below(&model->random, RANDOM_IN_FLIGHT_MAX));
    } else if (dice < 97) {
        fw_window_close(model->window);
    } else {
        fw_window_open(model->window,
                       (uint32_t)fw_random_below(&model->random, RANDOM_IN_FLIGHT_MAX));
    }
    while (fw_window_expire(model->window, model->now_ms, &request_id))
        model_leave(model, request_id);
    model_send(model);
    assert_int_equal(fw_window_count(model->window), model->added - model->left);
    assert_true(fw_window_wire_count(model->window) <= fw_window_count(model->window));
}

static void every_event_leaves_exactly_once_whatever_happens(void **state)
{
    (void)state;
    model_t *model = fw_alloc(1, sizeof *model);
    uint64_t seed = 0;
    const char *given = getenv("FW_TEST_SEED");
    if (given)
        seed = strtoull(given, NULL, 0);
    else
        fw_random_bytes(&seed, sizeof seed);
    print_message("seed: FW_TEST_SEED=%llu\n", (unsigned long long)seed);
    model->random.state = seed;
    model->window = make_window(RANDOM_IN_FLIGHT_MAX);
    for (int i = 0; i < RANDOM_STEPS; i++)
        model_step(model);
    uint64_t request_id;
    while (fw_window_cancel(model->window, &request_id))
        model_leave(model, request_id);
    assert_int_equal(model->left, model->added);
    assert_true(model->added > RANDOM_STEPS / 100);
    fw_window_destroy(&model->window);
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_options_out_of_range),
        cmocka_unit_test(refuses_more_than_in_flight_max),
        cmocka_unit_test(refuses_more_than_the_credit_of_an_open_link),
        cmocka_unit_test(refuses_more_bytes_than_bound_but_takes_any_single_frame),
        cmocka_unit_test(sends_nothing_while_the_link_is_closed),
        cmocka_unit_test(ignores_answers_to_what_was_never_sent),
        cmocka_unit_test(ignores_a_second_answer),
        cmocka_unit_test(ignores_a_status_that_is_none),
        cmocka_unit_test(keeps_no_more_on_the_wire_than_the_credit),
        cmocka_unit_test(sends_nothing_at_all_without_credit),
        cmocka_unit_test(sends_again_what_stays_unanswered_with_growing_waits),
        cmocka_unit_test(waits_as_long_as_the_broker_asks_before_a_retry),
        cmocka_unit_test(holds_everything_back_while_the_broker_is_overloaded),
        cmocka_unit_test(cuts_a_wait_that_no_broker_would_ask_for),
        cmocka_unit_test(keeps_its_place_when_a_late_refusal_follows_a_resend),
        cmocka_unit_test(sends_all_unacknowledged_again_by_age_on_a_new_link),
        cmocka_unit_test(opening_again_without_closing_is_a_new_link),
        cmocka_unit_test(gives_up_in_the_order_of_age),
        cmocka_unit_test(every_event_leaves_exactly_once_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
