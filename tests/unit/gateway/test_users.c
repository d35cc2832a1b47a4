/* test_users.c - sessions are found by their user, whatever came and went before.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/users.h"
#include "runtime/random.h"

enum { SESSIONS = 400, USERS = 37, STEPS = 20000 };

static fw_session_t *session_of(const char *user, uint64_t id)
{
    fw_session_t *session = fw_session_new(NULL, id);
    fw_claims_terms_t terms = {.user = fw_text(user)};
    fw_claims_t *claims = NULL;
    if (*user) {
        assert_int_equal(fw_claims_new(&terms, &claims), 0);
        fw_session_set_claims(session, &claims);
    }
    return session;
}

static size_t count_of(const fw_users_t *users, const char *user)
{
    size_t count = 0;
    for (fw_session_t *session = fw_users_first(users, fw_text(user)); session;
         session = fw_users_next(session)) {
        assert_true(fw_text_equal(fw_session_user(session), fw_text(user)));
        count++;
    }
    return count;
}

static void knows_no_session_without_a_user(void **state)
{
    (void)state;
    fw_users_t *users = fw_users_new(1);
    fw_session_t *session = session_of("", 1);
    fw_users_add(users, session);
    assert_int_equal(fw_users_count(users), 0);
    fw_users_remove(users, session);
    assert_null(fw_users_first(users, fw_text("9")));
    fw_session_destroy(&session);
    fw_users_destroy(&users);
    assert_null(users);
    fw_users_destroy(&users);
}

static void adding_and_removing_twice_is_once(void **state)
{
    (void)state;
    fw_users_t *users = fw_users_new(1);
    fw_session_t *session = session_of("9", 1);
    fw_users_add(users, session);
    fw_users_add(users, session);
    assert_int_equal(count_of(users, "9"), 1);
    fw_users_remove(users, session);
    fw_users_remove(users, session);
    assert_int_equal(fw_users_count(users), 0);
    fw_session_destroy(&session);
    fw_users_destroy(&users);
}

static void finds_all_of_a_user_after_any_history(void **state)
{
    (void)state;
    uint64_t seed = 20261123;
    print_message("seed %llu\n", (unsigned long long)seed);
    fw_random_t random = {.state = seed};
    fw_users_t *users = fw_users_new(seed);
    fw_session_t *sessions[SESSIONS];
    bool in[SESSIONS] = {false};
    size_t expected[USERS] = {0};
    char name[16];
    size_t most = 0;
    for (size_t i = 0; i < SESSIONS; i++) {
        (void)snprintf(name, sizeof name, "u%zu", i % USERS);
        sessions[i] = session_of(name, i + 1);
    }
    for (int step = 0; step < STEPS; step++) {
        /* It fills up, empties, and so on: the table grows and shrinks. */
        bool filling = step / (STEPS / 4) % 2 == 0;
        size_t i = (size_t)fw_random_below(&random, SESSIONS);
        if (filling == in[i])
            continue;
        if (filling)
            fw_users_add(users, sessions[i]);
        else
            fw_users_remove(users, sessions[i]);
        in[i] = filling;
        expected[i % USERS] += filling ? 1 : (size_t)-1;
        if (fw_users_bytes(users) > most)
            most = fw_users_bytes(users);
        if (step % 97 == 0) {
            (void)snprintf(name, sizeof name, "u%zu", i % USERS);
            assert_int_equal(count_of(users, name), expected[i % USERS]);
        }
    }
    /* A pointer or two a session. */
    assert_true(most <= 3 * sizeof(void *) * SESSIONS);
    for (size_t i = 0; i < SESSIONS; i++) {
        fw_users_remove(users, sessions[i]);
        fw_session_destroy(&sessions[i]);
    }
    assert_true(fw_users_bytes(users) < most / 4);
    fw_users_destroy(&users);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_no_session_without_a_user),
        cmocka_unit_test(adding_and_removing_twice_is_once),
        cmocka_unit_test(finds_all_of_a_user_after_any_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
