/* test_shared.c - the newest of a value, for several threads.   SPDX-License-Identifier: MPL-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/shared.h"

enum { READERS = 3, PUTS = 2000 };

typedef struct {
    unsigned number;
    unsigned check; /* the same, while it lives */
} number_t;

static unsigned destroyed; /* by the thread that runs the tests, or under the lock of shared.c */

static void destroy(void *value)
{
    number_t *number = value;
    number->check = 0;
    destroyed++;
    free(number);
}

static number_t *make(unsigned number)
{
    number_t *value = malloc(sizeof *value);
    assert_non_null(value);
    *value = (number_t){number, number};
    return value;
}

static void a_value_lives_as_long_as_somebody_has_it(void **state)
{
    (void)state;
    destroyed = 0;
    fw_shared_t *shared = fw_shared_new(make(1), destroy);
    const number_t *first = fw_shared_take(shared);
    const number_t *again = fw_shared_take(shared);
    assert_ptr_equal(first, again);
    fw_shared_put(shared, make(2));
    const number_t *second = fw_shared_take(shared);
    assert_int_equal(second->number, 2);
    fw_shared_put(shared, make(3));
    fw_shared_put(shared, make(4)); /* nobody had the third */
    assert_int_equal(destroyed, 1);
    assert_int_equal(first->check, 1);
    fw_shared_give_back(shared, first);
    assert_int_equal(destroyed, 1);
    fw_shared_give_back(shared, again);
    assert_int_equal(destroyed, 2);
    assert_int_equal(second->check, 2);
    fw_shared_give_back(shared, second);
    assert_int_equal(destroyed, 3);
    fw_shared_destroy(&shared);
    assert_int_equal(destroyed, 4);
    assert_null(shared);
    fw_shared_destroy(&shared);
}

static void *read_on(void *args)
{
    fw_shared_t *shared = args;
    unsigned last = 0;
    uintptr_t wrong = 0;
    while (last < PUTS) {
        const number_t *value = fw_shared_take(shared);
        wrong += value->check != value->number || value->number < last;
        last = value->number;
        fw_shared_give_back(shared, value);
    }
    return (void *)wrong; /* NOLINT(performance-no-int-to-ptr): a number */
}

static void readers_see_whole_values_that_only_get_newer(void **state)
{
    (void)state;
    destroyed = 0;
    pthread_t readers[READERS];
    fw_shared_t *shared = fw_shared_new(make(1), destroy);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, shared), 0);
    for (unsigned i = 2; i <= PUTS; i++)
        fw_shared_put(shared, make(i));
    for (int i = 0; i < READERS; i++) {
        void *wrong = NULL;
        assert_int_equal(pthread_join(readers[i], &wrong), 0);
        assert_null(wrong);
    }
    fw_shared_destroy(&shared);
    assert_int_equal(destroyed, PUTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_lives_as_long_as_somebody_has_it),
        cmocka_unit_test(readers_see_whole_values_that_only_get_newer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
