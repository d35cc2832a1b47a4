/* test_redis_error.c - what an error of Redis means.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/redis_error.h"

static void words_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        fw_redis_error_t error;
    } cases[] = {
        {"", FW_REDIS_OTHER},
        {"ERR unknown command", FW_REDIS_OTHER},
        {"OOMPH", FW_REDIS_OTHER},
        {"oom command not allowed", FW_REDIS_OTHER},
        {"ERR Error running script", FW_REDIS_OTHER},
        {"OOM command not allowed when used memory > 'maxmemory'.", FW_REDIS_OOM},
        {"OOM command not allowed. script: 88c9, on @user_script:1.", FW_REDIS_OOM},
        {"ERR Error running script (call to f_1): @user_script:9: @user_script: 9: -OOM command "
         "not "
         "allowed",
         FW_REDIS_OOM},
        {"ERR Error running script (call to f_1): @user_script:9: -READONLY You can't write",
         FW_REDIS_READONLY},
        {"NOSCRIPT No matching script. Please use EVAL.", FW_REDIS_NOSCRIPT},
        {"LOADING Redis is loading the dataset in memory", FW_REDIS_LOADING},
        {"READONLY You can't write against a read only replica.", FW_REDIS_READONLY},
        {"BUSY Redis is busy running a script.", FW_REDIS_BUSY},
        {"MISCONF Redis is configured to save RDB snapshots", FW_REDIS_BUSY},
        {"MOVED 3999 127.0.0.1:6381", FW_REDIS_MOVED},
        {"ASK 3999 127.0.0.1:6381", FW_REDIS_ASK},
        {"TRYAGAIN Multiple keys request during rehashing of slot", FW_REDIS_BUSY},
        {"CLUSTERDOWN The cluster is down", FW_REDIS_BUSY},
        {"NOAUTH Authentication required.", FW_REDIS_AUTH},
        {"WRONGPASS invalid username-password pair", FW_REDIS_AUTH},
        {"NOPERM this user has no permissions", FW_REDIS_NOPERM},
        {"WRONGTYPE Operation against a key", FW_REDIS_TYPE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (fw_redis_error_of(fw_text(cases[i].text)) != cases[i].error) {
            fail_msg("\"%s\" is not %s", cases[i].text, fw_redis_error_name(cases[i].error));
        }
    }
}

static void only_what_the_key_forbids_is_given_up(void **state)
{
    (void)state;
    for (int error = 0; error < FW_REDIS_ERRORS_COUNT; error++) {
        bool given_up = error == FW_REDIS_NOPERM || error == FW_REDIS_TYPE;
        assert_int_equal(fw_redis_error_retryable((fw_redis_error_t)error), !given_up);
    }
}

static void every_error_has_its_own_name(void **state)
{
    (void)state;
    for (int a = 0; a < FW_REDIS_ERRORS_COUNT; a++) {
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(fw_redis_error_name((fw_redis_error_t)a),
                                    fw_redis_error_name((fw_redis_error_t)b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_told_apart),
        cmocka_unit_test(only_what_the_key_forbids_is_given_up),
        cmocka_unit_test(every_error_has_its_own_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
