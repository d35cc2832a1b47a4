/* test_session_command.c - which commands about sessions are refused, and how that is said.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/session_messages.h"

static const fw_text_t globs[] = {{"4*", 2}, {"", 0}};

static void names_the_field_that_is_wrong(void **state)
{
    static const char long_text[] =
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    const struct {
        fw_session_command_t command;
        const char *field;
    } wrong[] = {
        {{.action = FW_SESSIONS_UNSUBSCRIBE, .user_id = {"", 0}}, "user_id"},
        {{.action = FW_SESSIONS_UNSUBSCRIBE, .user_id = {long_text, FW_USER_ID_SIZE_MAX + 1}},
         "user_id"},
        {{.action = FW_SESSIONS_UNSUBSCRIBE, .user_id = {"9", 1}, .channel = {"room", 4}},
         "channel"},
        {{.action = FW_SESSIONS_DISCONNECT, .user_id = {"9", 1}, .code = 1000}, "code"},
        {{.action = FW_SESSIONS_DISCONNECT, .user_id = {"9", 1}, .code = 4001}, "code"},
        {{.action = FW_SESSIONS_DISCONNECT,
          .user_id = {"9", 1},
          .code = 4403,
          .session_id = {"00000000DEADBEEF", 16}},
         "session_id"},
        {{.action = FW_SESSIONS_DISCONNECT,
          .user_id = {"9", 1},
          .code = 4403,
          .session_id = {"deadbeef", 8}},
         "session_id"},
        {{.action = FW_SESSIONS_DISCONNECT,
          .user_id = {"9", 1},
          .code = 4403,
          .reason = {long_text, 124}},
         "reason"},
        {{.action = FW_SESSIONS_DISCONNECT,
          .user_id = {"9", 1},
          .code = 4403,
          .reason = {"a\nb", 3}},
         "reason"},
        {{.action = FW_SESSIONS_REFRESH, .user_id = {"9", 1}}, "rooms"},
        {{.action = FW_SESSIONS_REFRESH, .user_id = {"9", 1}, .claims = {[1] = {true, globs, 2}}},
         "publish"},
        {{.action = FW_SESSIONS_REFRESH,
          .user_id = {"9", 1},
          .claims = {[2] = {true, globs, FW_ROOM_PATTERNS_MAX + 1}}},
         "presence"},
        {{.user_id = {"9", 1}}, "action"},
    };
    (void)state;
    _Static_assert(sizeof long_text > FW_USER_ID_SIZE_MAX + 1, "too long for a user");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fw_refusal_t refusal = {.field = ""};
        assert_int_equal(fw_session_command_check(&wrong[i].command, &refusal), -EPROTO);
        assert_string_equal(refusal.field, wrong[i].field);
        assert_true(refusal.reason[0] != '\0');
    }
}

static void takes_what_means_something(void **state)
{
    const fw_session_command_t good[] = {
        {.action = FW_SESSIONS_DISCONNECT, .user_id = {"9", 1}, .code = 4403},
        {.action = FW_SESSIONS_DISCONNECT,
         .user_id = {"9", 1},
         .code = 4100,
         .session_id = {"00000000deadbeef", 16},
         .reason = {"Gr\xc3\xbc\xc3\x9f"
                    "e",
                    7}},
        {.action = FW_SESSIONS_UNSUBSCRIBE, .user_id = {"9", 1}, .channel = {"room:42", 7}},
        {.action = FW_SESSIONS_REFRESH, .user_id = {"9", 1}, .claims = {{true, NULL, 0}}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        fw_refusal_t refusal = {.field = ""};
        assert_int_equal(fw_session_command_check(&good[i], &refusal), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_field_that_is_wrong),
        cmocka_unit_test(takes_what_means_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
