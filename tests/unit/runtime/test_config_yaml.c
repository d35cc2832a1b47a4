/* test_config_yaml.c - the configuration file: what it may hold, and where its mistakes are.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/config_internal.h"
#include "tests/unit/runtime/seed.h"

static const fw_option_t table[] = {
    {.path = "broker.credit",
     .kind = FW_OPTION_NUMBER,
     .fallback = "10",
     .min = 1,
     .max = 100,
     .help = "Window."},
    {.path = "gateway.listen", .kind = FW_OPTION_TEXT, .fallback = ":8080", .help = "Address."},
    {.path = "gateway.origins", .kind = FW_OPTION_LIST, .help = "Origins."},
    {.path = "gateway.auth.key", .kind = FW_OPTION_SECRET, .help = "Key."},
    {.path = "gateway.keys", .kind = FW_OPTION_SECRETS, .help = "Keys."},
};
enum { COUNT = sizeof table / sizeof *table };

static void refuse_bytes(const char *yaml, size_t size, const char *text)
{
    fw_config_t *config = fw_config_make(table, COUNT);
    fw_config_error_t error = {.text = ""};
    int result = fw_config_read_yaml(config, "f.yaml", yaml, size, &error);
    if (result == 0 || strcmp(error.text, text) != 0)
        print_message("%s\n-> %s\n", yaml, error.text);
    assert_int_equal(result, -EINVAL);
    assert_string_equal(error.text, text);
    fw_config_destroy(&config);
}

static void refuse(const char *yaml, const char *text)
{
    refuse_bytes(yaml, strlen(yaml), text);
}

static fw_config_t *accept(const char *yaml)
{
    fw_config_t *config = fw_config_make(table, COUNT);
    fw_config_error_t error = {.text = ""};
    int result = fw_config_read_yaml(config, "f.yaml", yaml, strlen(yaml), &error);
    if (result != 0)
        print_message("%s\n-> %s\n", yaml, error.text);
    assert_int_equal(result, 0);
    return config;
}

static void unknown_keys_are_refused_with_line_and_nearest_name(void **state)
{
    (void)state;
    refuse("gateway:\n  lisen: x\n",
           "f.yaml:2: gateway.lisen: unknown option; did you mean gateway.listen?");
    refuse("\n\ngatewy:\n  listen: x\n", "f.yaml:3: gatewy: unknown option; did you mean gateway?");
    refuse("gateway:\n  auth:\n    kye: x\n",
           "f.yaml:3: gateway.auth.kye: unknown option; did you mean gateway.auth.key?");
    refuse("gateway:\n  listen: x\n  colour: red\n", "f.yaml:3: gateway.colour: unknown option");
    refuse("gateway:\n  listen_file: x\n", "f.yaml:2: gateway.listen_file: unknown option");
    refuse("<<: {a: b}\n", "f.yaml:1: <<: unknown option");
}

static void duplicates_are_refused(void **state)
{
    (void)state;
    refuse("broker:\n  credit: 1\n  credit: 2\n",
           "f.yaml:3: broker.credit: is given twice; first in line 2");
    refuse("broker:\n  credit: 1\ngateway:\nbroker:\n",
           "f.yaml:4: broker: is given twice; first in line 1");
    refuse("gateway:\n  listen:\n  listen: x\n",
           "f.yaml:3: gateway.listen: is given twice; first in line 2");
    refuse("broker.credit: 1\nbroker:\n  credit: 2\n",
           "f.yaml:3: broker.credit: is given twice; first in line 1");
}

static void values_of_the_wrong_shape_are_refused(void **state)
{
    (void)state;
    refuse("broker:\n  credit: many\n",
           "f.yaml:2: broker.credit: must be a whole number, not \"many\"");
    refuse("broker:\n  credit: 101\n", "f.yaml:2: broker.credit: must be at most 100, not \"101\"");
    refuse("broker:\n  credit: [1]\n",
           "f.yaml:2: broker.credit: must be a whole number, not \"a list\"");
    refuse("broker:\n  credit: {a: 1}\n",
           "f.yaml:2: broker.credit: must be a value, not a section");
    refuse("gateway: x\n", "f.yaml:1: gateway: is a section and has no value of its own");
    refuse("gateway: [x]\n", "f.yaml:1: gateway: is a section and has no value of its own");
    refuse("gateway:\n  origins: [a, [b]]\n",
           "f.yaml:2: gateway.origins: an item of the list must be a text");
    refuse("gateway:\n  origins:\n    - a\n    -\n",
           "f.yaml:4: gateway.origins: an item of the list must be a text");
    refuse("gateway:\n  keys_file: [a]\n",
           "f.yaml:2: gateway.keys_file: must be a value, not a section");
    refuse("? [a]\n: b\n", "f.yaml:1: a key must be a text");
    refuse("- a\n", "f.yaml:1: the file must be a mapping of options");
    refuse("text\n", "f.yaml:1: the file must be a mapping of options");
    refuse("a: b\n---\nc: d\n", "f.yaml:1: a: unknown option");
    refuse("broker:\n---\ngateway:\n", "f.yaml:2: the file must hold one document");
}

static void aliases_anchors_and_tags_are_refused(void **state)
{
    (void)state;
    refuse("gateway:\n  listen: &a x\n", "f.yaml:2: gateway.listen: anchors are not allowed");
    refuse("gateway:\n  listen: *a\n", "f.yaml:2: gateway.listen: aliases are not allowed");
    refuse("gateway: &a\n  listen: x\n", "f.yaml:1: gateway: anchors are not allowed");
    refuse("gateway:\n  origins: !!set [a]\n", "f.yaml:2: gateway.origins: tags are not allowed");
    refuse("gateway:\n  listen: !!binary eA==\n", "f.yaml:2: gateway.listen: tags are not allowed");
    refuse("!!map {}\n", "f.yaml:1: tags are not allowed");
}

static void what_is_not_yaml_is_refused_with_its_line(void **state)
{
    (void)state;
    refuse("gateway:\n  listen: \"x\n", "f.yaml:3: found unexpected end of stream");
    refuse("gateway:\n\tlisten: x\n", "f.yaml:2: found character that cannot start any token");
    refuse("gateway:\n  listen: \xff\n", "f.yaml:1: invalid leading UTF-8 octet");
    refuse("gateway:\n  listen: a: b\n",
           "f.yaml:2: mapping values are not allowed in this context");
}

static void zero_bytes_are_refused(void **state)
{
    (void)state;
    refuse("gateway:\n  listen: \"a\\0b\"\n",
           "f.yaml:2: gateway.listen: must be free of zero bytes, not \"a\"");
    refuse("gateway:\n  origins: [\"a\\0b\"]\n",
           "f.yaml:2: gateway.origins: an item must be free of zero bytes");
    refuse("gateway:\n  \"listen\\0\": x\n", "f.yaml:2: gateway: a key must be free of zero bytes");
    refuse("gateway:\n  keys_file: \"/dev/null\\0x\"\n",
           "f.yaml:2: gateway.keys_file: must be free of zero bytes");
    refuse_bytes("gateway:\n  listen: a\0b\n", 23, "f.yaml:1: control characters are not allowed");
}

static void endless_nesting_is_refused_at_once(void **state)
{
    (void)state;
    enum { SIZE = FW_CONFIG_FILE_BYTES_MAX };
    static const char *const fillings[] = {"[", "{", "- ", "? ", "[{", "a: ", "\"", "# "};
    char *yaml = fw_alloc(SIZE + 1, 1);
    for (size_t i = 0; i < sizeof fillings / sizeof *fillings; i++) {
        size_t piece = strlen(fillings[i]);
        for (size_t j = 0; j < SIZE; j++)
            yaml[j] = fillings[i][j % piece];
        fw_config_t *config = fw_config_make(table, COUNT);
        fw_config_error_t error = {.text = ""};
        int64_t begin_ms = fw_clock_ms();
        int result = fw_config_read_yaml(config, "f.yaml", yaml, SIZE, &error);
        assert_int_equal(result, fillings[i][0] == '#' ? 0 : -EINVAL);
        assert_true(fw_clock_ms() - begin_ms < 5000);
        fw_config_destroy(&config);
    }
    free(yaml);
}

static void a_list_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char *yaml = fw_alloc(32768, 1);
    size_t used = (size_t)snprintf(yaml, 32768, "gateway:\n  origins: [");
    for (int i = 0; i < FW_CONFIG_LIST_MAX; i++)
        used += (size_t)snprintf(yaml + used, 32768 - used, "%s%d", i ? "," : "", i);
    (void)snprintf(yaml + used, 32768 - used, "]\n");
    fw_config_t *config = accept(yaml);
    const char *const *texts = NULL;
    assert_int_equal(fw_config_list(config, "gateway.origins", &texts), FW_CONFIG_LIST_MAX);
    assert_string_equal(texts[FW_CONFIG_LIST_MAX - 1], "1023");
    fw_config_destroy(&config);
    (void)snprintf(yaml + used, 32768 - used, ",x]\n");
    refuse(yaml, "f.yaml:2: gateway.origins: a list has at most 1024 items");
    free(yaml);
}

static void a_file_that_cannot_be_read_is_reported(void **state)
{
    (void)state;
    fw_config_t *config = NULL;
    fw_config_error_t error = {.text = ""};
    assert_int_equal(
        fw_config_load(table, COUNT, "/nowhere/f.yaml", NULL, NULL, NULL, &config, &error),
        -ENOENT);
    assert_string_equal(error.text, "/nowhere/f.yaml: No such file or directory");
    char path[] = "/tmp/freshwire-test-yaml-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, FW_CONFIG_FILE_BYTES_MAX + 1), 0);
    (void)close(fd);
    assert_int_equal(fw_config_load(table, COUNT, path, NULL, NULL, NULL, &config, &error), -EFBIG);
    assert_null(config);
    (void)unlink(path);
}

static void empty_files_sections_and_values_leave_the_defaults(void **state)
{
    (void)state;
    static const char *const empty[] = {"",
                                        "# nothing\n",
                                        "---\n...\n",
                                        "null\n",
                                        "{}\n",
                                        "gateway:\nbroker: ~\n",
                                        "gateway: {listen: , origins: null}\n"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        fw_config_t *config = accept(empty[i]);
        assert_string_equal(fw_config_text(config, "gateway.listen"), ":8080");
        assert_string_equal(fw_config_origin(config, "gateway.listen"), "default");
        fw_config_destroy(&config);
    }
}

static void every_way_to_write_a_value_is_read(void **state)
{
    (void)state;
    fw_config_t *config =
        accept("%YAML 1.1\n---\n"
               "broker: {credit: \"7\"}\n"
               "gateway:\n"
               "  listen: >-\n    folded\n    text\n"
               "  origins:\n    - 'it''s'\n    - \"\\u00fc\"\n    - ~x\n    - ''\n"
               "  auth: {key: null-and-void}\n"
               "  keys: a, b\n");
    assert_int_equal(fw_config_number(config, "broker.credit"), 7);
    assert_string_equal(fw_config_origin(config, "broker.credit"), "f.yaml:3");
    assert_string_equal(fw_config_text(config, "gateway.listen"), "folded text");
    assert_string_equal(fw_config_text(config, "gateway.auth.key"), "null-and-void");
    const char *const *texts = NULL;
    assert_int_equal(fw_config_list(config, "gateway.origins", &texts), 4);
    assert_string_equal(texts[0], "it's");
    assert_string_equal(texts[1], "\xc3\xbc");
    assert_string_equal(texts[2], "~x");
    assert_string_equal(texts[3], "");
    assert_string_equal(fw_config_origin(config, "gateway.origins"), "f.yaml:8");
    assert_int_equal(fw_config_list(config, "gateway.keys", &texts), 2);
    assert_string_equal(texts[1], "b");
    fw_config_destroy(&config);
}

static void a_secret_is_read_from_the_file_that_its_twin_names(void **state)
{
    (void)state;
    char path[] = "/tmp/freshwire-test-yaml-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "from a file\n", 12), 12);
    (void)close(fd);
    char yaml[200];
    (void)snprintf(yaml, sizeof yaml, "gateway:\n  auth:\n    key_file: %s\n", path);
    fw_config_t *config = accept(yaml);
    assert_string_equal(fw_config_text(config, "gateway.auth.key"), "from a file");
    assert_string_equal(fw_config_origin(config, "gateway.auth.key"), "f.yaml:3");
    fw_config_destroy(&config);
    (void)snprintf(yaml, sizeof yaml, "gateway:\n  auth:\n    key: x\n    key_file: %s\n", path);
    refuse(yaml, "f.yaml:4: gateway.auth.key: is already set by f.yaml:3");
    (void)unlink(path);
    fw_config_error_t error = {.text = ""};
    static const char missing[] = "gateway:\n  auth: {key_file: /nowhere/k}\n";
    config = fw_config_make(table, COUNT);
    assert_int_equal(fw_config_read_yaml(config, "f.yaml", missing, strlen(missing), &error),
                     -ENOENT);
    assert_string_equal(
        error.text,
        "f.yaml:2: gateway.auth.key: cannot read \"/nowhere/k\": No such file or directory");
    fw_config_destroy(&config);
}

static void edits_are_counted_as_people_make_them(void **state)
{
    (void)state;
    assert_int_equal(fw_config_distance("listen", "listen", 3), 0);
    assert_int_equal(fw_config_distance("lisetn", "listen", 3), 1);
    assert_int_equal(fw_config_distance("lisen", "listen", 3), 1);
    assert_int_equal(fw_config_distance("listeen", "listen", 3), 1);
    assert_int_equal(fw_config_distance("Listen", "listen", 3), 1);
    assert_int_equal(fw_config_distance("", "abc", 5), 3);
    assert_int_equal(fw_config_distance("abc", "", 5), 3);
    assert_int_equal(fw_config_distance("kitten", "sitting", 9), 3);
    assert_int_equal(fw_config_distance("kitten", "sitting", 2), 3);
    char long_name[300];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    assert_int_equal(fw_config_distance(long_name, "listen", 4), 5);
    assert_int_equal(fw_config_distance("listen", long_name, 4), 5);
}

static void mangled_files_are_refused_with_a_message_or_read(void **state)
{
    (void)state;
    static const char seed_text[] =
        "broker:\n  credit: 7\ngateway: {listen: \"a\", origins: [x, 'y']}\n";
    fw_random_t random = seeded_random();
    unsigned read = 0;
    for (int i = 0; i < 20000; i++) {
        char yaml[sizeof seed_text];
        memcpy(yaml, seed_text, sizeof yaml);
        for (uint64_t edits = 1 + fw_random_below(&random, 3); edits > 0; edits--) {
            static const char pool[] = " \n:-[]{}\"'#&*!|>%@`,?abgl0\x80\xff\t";
            size_t place = fw_random_below(&random, sizeof yaml - 1);
            yaml[place] = pool[fw_random_below(&random, sizeof pool - 1)];
        }
        fw_config_t *config = fw_config_make(table, COUNT);
        fw_config_error_t error = {.text = ""};
        int result = fw_config_read_yaml(config, "f.yaml", yaml, sizeof yaml - 1, &error);
        assert_true(result == 0 || result == -EINVAL);
        assert_int_equal(result == 0, error.text[0] == 0);
        if (result != 0)
            assert_int_equal(strncmp(error.text, "f.yaml:", 7), 0);
        assert_in_range(fw_config_number(config, "broker.credit"), 1, 100);
        read += result == 0;
        fw_config_destroy(&config);
    }
    assert_in_range(read, 100, 19000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_keys_are_refused_with_line_and_nearest_name),
        cmocka_unit_test(duplicates_are_refused),
        cmocka_unit_test(values_of_the_wrong_shape_are_refused),
        cmocka_unit_test(aliases_anchors_and_tags_are_refused),
        cmocka_unit_test(what_is_not_yaml_is_refused_with_its_line),
        cmocka_unit_test(zero_bytes_are_refused),
        cmocka_unit_test(endless_nesting_is_refused_at_once),
        cmocka_unit_test(a_list_that_is_too_long_is_refused),
        cmocka_unit_test(a_file_that_cannot_be_read_is_reported),
        cmocka_unit_test(empty_files_sections_and_values_leave_the_defaults),
        cmocka_unit_test(every_way_to_write_a_value_is_read),
        cmocka_unit_test(a_secret_is_read_from_the_file_that_its_twin_names),
        cmocka_unit_test(edits_are_counted_as_people_make_them),
        cmocka_unit_test(mangled_files_are_refused_with_a_message_or_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
