/* test_config_document.c - the configuration as it is printed and documented.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/config_internal.h"

static const fw_option_t table[] = {
    {.path = "log.level",
     .kind = FW_OPTION_CHOICE,
     .fallback = "info",
     .choices = "error|warn|info|debug",
     .help = "What is logged."},
    {.path = "broker.offset", .kind = FW_OPTION_NUMBER, .help = "Any number."},
    {.path = "broker.barrier_timeout",
     .kind = FW_OPTION_DURATION,
     .fallback = "500ms",
     .min = 10,
     .max = 60000,
     .help = "Longest hold."},
    {.path = "broker.frame_bytes",
     .kind = FW_OPTION_BYTES,
     .fallback = "1MiB",
     .min = 1024,
     .max = 8388608,
     .help = "Largest frame."},
    {.path = "gateway.listen", .kind = FW_OPTION_TEXT, .fallback = ":8080", .help = "Address."},
    {.path = "gateway.anonymous", .kind = FW_OPTION_BOOL, .fallback = "true", .help = "Allowed."},
    {.path = "gateway.origins", .kind = FW_OPTION_LIST, .help = "Allowed | origins."},
    {.path = "gateway.auth.key", .kind = FW_OPTION_SECRET, .help = "Key."},
};
enum { COUNT = sizeof table / sizeof *table };

static void set(fw_config_t *config, const char *path, const char *text)
{
    int option = fw_config_find(table, COUNT, path);
    assert_true(option >= 0);
    fw_config_place_t place = {.layer = FW_LAYER_FLAGS, .origin = "--test"};
    fw_config_error_t error;
    assert_int_equal(fw_config_set(config, (size_t)option, place, text, strlen(text), &error), 0);
}

static char *print(const fw_config_t *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    fw_config_print(config, out);
    (void)fclose(out);
    return text;
}

static void what_is_printed_can_be_read_back(void **state)
{
    (void)state;
    fw_config_t *config = fw_config_make(table, COUNT);
    set(config, "gateway.listen", "a \"b\"\\\n# c");
    set(config, "gateway.origins", "x: y,#z,null");
    set(config, "broker.offset", "-7");
    set(config, "broker.barrier_timeout", "1500ms");
    set(config, "broker.frame_bytes", "64KiB");
    set(config, "log.level", "debug");
    set(config, "gateway.anonymous", "false");
    char *text = print(config);
    fw_config_t *again = fw_config_make(table, COUNT);
    fw_config_error_t error;
    assert_int_equal(fw_config_read_yaml(again, "f", text, strlen(text), &error), 0);
    assert_string_equal(fw_config_text(again, "gateway.listen"), "a \"b\"\\\n# c");
    assert_int_equal(fw_config_number(again, "broker.offset"), -7);
    assert_int_equal(fw_config_number(again, "broker.barrier_timeout"), 1500);
    assert_int_equal(fw_config_number(again, "broker.frame_bytes"), 65536);
    assert_string_equal(fw_config_text(again, "log.level"), "debug");
    assert_false(fw_config_bool(again, "gateway.anonymous"));
    const char *const *texts = NULL;
    assert_int_equal(fw_config_list(again, "gateway.origins", &texts), 3);
    assert_string_equal(texts[0], "x: y");
    assert_string_equal(texts[1], "#z");
    assert_string_equal(texts[2], "null");
    fw_config_destroy(&again);
    fw_config_destroy(&config);
    free(text);
}

static void every_value_is_printed_once_with_its_origin(void **state)
{
    (void)state;
    fw_config_t *config = fw_config_make(table, COUNT);
    set(config, "broker.barrier_timeout", "1m");
    set(config, "gateway.auth.key", "s3cret");
    char *text = print(config);
    assert_string_equal(text, "log:\n"
                              "  level: \"info\" # default\n"
                              "broker:\n"
                              "  offset: 0 # default\n"
                              "  barrier_timeout: 1m # --test\n"
                              "  frame_bytes: 1MiB # default\n"
                              "gateway:\n"
                              "  listen: \":8080\" # default\n"
                              "  anonymous: true # default\n"
                              "  origins: [] # default\n"
                              "  auth:\n"
                              "    key: \"********\" # --test\n");
    free(text);
    fw_config_destroy(&config);
}

static void the_documentation_names_every_option_once(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    fw_config_document(table, COUNT, out);
    (void)fclose(out);
    for (size_t i = 0; i < COUNT; i++) {
        char row[64];
        (void)snprintf(row, sizeof row, "\n| `%s` | ", table[i].path);
        char *found = strstr(text, row);
        assert_non_null(found);
        assert_null(strstr(found + 1, row));
    }
    assert_non_null(strstr(text, "| `broker.barrier_timeout` | duration, 10ms to 1m | `500ms` | "
                                 "`FRESHWIRE_BROKER_BARRIER_TIMEOUT` | `--broker-barrier-timeout` "
                                 "| Longest hold. |\n"));
    assert_non_null(strstr(text, "`FRESHWIRE_GATEWAY_AUTH_KEY`, `FRESHWIRE_GATEWAY_AUTH_KEY_FILE` "
                                 "| `--gateway-auth-key`, `--gateway-auth-key-file`"));
    assert_non_null(strstr(text, "choice: `error`, `warn`, `info`, `debug`"));
    assert_non_null(strstr(text, "Allowed \\| origins."));
    assert_non_null(strstr(text, "`--gateway-anonymous`, `--no-gateway-anonymous`"));
    assert_int_equal(strncmp(text, "## log\n\n| Option |", 18), 0);
    assert_non_null(strstr(text, "\n\n## gateway\n\n| Option |"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_can_be_read_back),
        cmocka_unit_test(every_value_is_printed_once_with_its_origin),
        cmocka_unit_test(the_documentation_names_every_option_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
