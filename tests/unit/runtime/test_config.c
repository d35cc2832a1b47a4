/* test_config.c - layers, origins, types and limits of the configuration. SPDX-License-Identifier:
 * MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/config.h"

static const fw_option_t table[] = {
    {.path = "log.level",
     .kind = FW_OPTION_CHOICE,
     .fallback = "info",
     .choices = "error|warn|info|debug",
     .help = "What is logged."},
    {.path = "broker.credit",
     .kind = FW_OPTION_NUMBER,
     .fallback = "1000",
     .min = 1,
     .max = 100000,
     .help = "Window."},
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
    {.path = "gateway.publish_keys", .kind = FW_OPTION_SECRETS, .help = "Keys."},
};
enum { COUNT = sizeof table / sizeof *table };

/* A file with the given content; unlinked by drop_file. */
typedef struct {
    char path[64];
} scratch_t;

static scratch_t make_file(const char *content, size_t size)
{
    scratch_t file = {.path = "/tmp/freshwire-test-config-XXXXXX"};
    int fd = mkstemp(file.path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, size), size);
    (void)close(fd);
    return file;
}

static void drop_file(scratch_t *file)
{
    (void)unlink(file->path);
}

/* A NULL-ended array of copies, as main has them; freed by drop_texts. */
typedef struct {
    char **texts;
    size_t count;
    char **all; /* texts as they were: the loader moves them */
} texts_t;

static texts_t copy_texts(const char *first, const char *const *others)
{
    size_t count = first ? 1 : 0;
    while (others && others[count - (first ? 1 : 0)])
        count++;
    texts_t copy = {.texts = calloc(count + 1, sizeof(char *)),
                    .count = count,
                    .all = calloc(count + 1, sizeof(char *))};
    assert_true(copy.texts && copy.all);
    for (size_t i = 0; i < count; i++) {
        const char *text = first ? (i == 0 ? first : others[i - 1]) : others[i];
        copy.texts[i] = copy.all[i] = strdup(text);
    }
    return copy;
}

static void drop_texts(texts_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->all[i]);
    free(self->all);
    free(self->texts);
}

static int load(const char *file, const char *const *environment, const char *const *flags,
                fw_config_t **ret_config, char *ret_error)
{
    texts_t variables = copy_texts(NULL, environment);
    texts_t arguments = copy_texts("freshwire", flags);
    int argc = (int)arguments.count;
    fw_config_error_t error = {.text = ""};
    int result = fw_config_load(table, COUNT, file, variables.texts, &argc, arguments.texts,
                                ret_config, &error);
    (void)snprintf(ret_error, sizeof error.text, "%s", error.text);
    drop_texts(&variables);
    drop_texts(&arguments);
    return result;
}

static fw_config_t *load_good(const char *file, const char *const *environment,
                              const char *const *flags)
{
    char error[512];
    fw_config_t *config = NULL;
    int result = load(file, environment, flags, &config, error);
    if (result != 0)
        print_message("%s\n", error);
    assert_int_equal(result, 0);
    assert_non_null(config);
    return config;
}

static void expect_error(int result, const char *file, const char *const *environment,
                         const char *const *flags, const char *text)
{
    char error[512];
    fw_config_t *config = NULL;
    assert_int_equal(load(file, environment, flags, &config, error), result);
    assert_null(config);
    assert_string_equal(error, text);
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void refuse_variable(const char *entry, const char *text)
{
    expect_error(-EINVAL, NULL, TEXTS(entry), NULL, text);
}

static void refuse_flag(const char *flag, const char *text)
{
    expect_error(-EINVAL, NULL, NULL, TEXTS(flag), text);
}

static void an_unknown_name_is_refused_with_the_nearest_one(void **state)
{
    (void)state;
    refuse_variable("FRESHWIRE_BROKER_CREDT=1",
                    "FRESHWIRE_BROKER_CREDT: unknown variable; did you mean "
                    "FRESHWIRE_BROKER_CREDIT?");
    refuse_variable("FRESHWIRE_WHATEVER=1", "FRESHWIRE_WHATEVER: unknown variable");
    refuse_variable("FRESHWIRE_=1", "FRESHWIRE_: unknown variable");
    /* Only a secret can be read from a file. */
    refuse_variable("FRESHWIRE_GATEWAY_LISTEN_FILE=/x",
                    "FRESHWIRE_GATEWAY_LISTEN_FILE: unknown variable");
    refuse_flag("--gateway-lisetn=x",
                "--gateway-lisetn: unknown flag; did you mean --gateway-listen?");
    refuse_flag("--gateway_listen=x",
                "--gateway_listen: unknown flag; did you mean --gateway-listen?");
    refuse_flag("--no-gateway-listen", "--no-gateway-listen: unknown flag; did you mean "
                                       "--gateway-listen?");
    refuse_flag("--=", "--: unknown flag");
}

static void a_value_of_the_wrong_type_is_refused(void **state)
{
    (void)state;
    static const char *const numbers[] = {"x", "1x", "+1", " 1", "1 ", "0x10", "1.5", "1e3", "-"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char entry[64];
        char text[128];
        (void)snprintf(entry, sizeof entry, "FRESHWIRE_BROKER_CREDIT=%s", numbers[i]);
        (void)snprintf(text, sizeof text,
                       "FRESHWIRE_BROKER_CREDIT: broker.credit: must be a whole number, not "
                       "\"%s\"",
                       numbers[i]);
        refuse_variable(entry, text);
    }
    refuse_flag("--broker-barrier-timeout=200",
                "--broker-barrier-timeout: broker.barrier_timeout: must be a duration such as "
                "200ms, 5s, 10m or 1h, not \"200\"");
    refuse_flag("--broker-barrier-timeout=-5s",
                "--broker-barrier-timeout: broker.barrier_timeout: must be a duration such as "
                "200ms, 5s, 10m or 1h, not \"-5s\"");
    refuse_flag("--broker-frame-bytes=64KB",
                "--broker-frame-bytes: broker.frame_bytes: must be a size such as 100, 64KiB, "
                "1MiB or 1GiB, not \"64KB\"");
    refuse_flag("--gateway-anonymous=yes", "--gateway-anonymous: gateway.anonymous: must be true "
                                           "or false, not \"yes\"");
    refuse_flag("--log-level=loud", "--log-level: log.level: must be one of error, warn, info, "
                                    "debug, not \"loud\"");
    refuse_flag("--log-level=err", "--log-level: log.level: must be one of error, warn, info, "
                                   "debug, not \"err\"");
    refuse_flag("--gateway-origins=a,,b", "--gateway-origins: gateway.origins: must be a list "
                                          "without empty items, not \"a,,b\"");
    refuse_flag("--broker-credit=", "--broker-credit: broker.credit: must be a whole number, not "
                                    "\"\"");
}

static void a_value_outside_its_limits_is_refused_with_the_limit(void **state)
{
    (void)state;
    refuse_variable("FRESHWIRE_BROKER_CREDIT=0",
                    "FRESHWIRE_BROKER_CREDIT: broker.credit: must be at least 1, not \"0\"");
    refuse_variable("FRESHWIRE_BROKER_CREDIT=100001",
                    "FRESHWIRE_BROKER_CREDIT: broker.credit: must be at most 100000, not "
                    "\"100001\"");
    refuse_flag("--broker-barrier-timeout=2m",
                "--broker-barrier-timeout: broker.barrier_timeout: must be at most 1m, not \"2m\"");
    refuse_flag("--broker-frame-bytes=1023",
                "--broker-frame-bytes: broker.frame_bytes: must be at least 1KiB, not \"1023\"");
    refuse_flag("--broker-offset=9223372036854775808",
                "--broker-offset: broker.offset: must be a number of 63 bits, not "
                "\"9223372036854775808\"");
    refuse_flag("--broker-barrier-timeout=9999999999999999h",
                "--broker-barrier-timeout: broker.barrier_timeout: must be a number of 63 bits, "
                "not \"9999999999999999h\"");
    refuse_flag("--broker-offset=99999999999999999999999999999999999999999999",
                "--broker-offset: broker.offset: must be a number of 63 bits, not "
                "\"99999999999999999999999999999999999999999999\"");
}

static void the_ends_of_the_range_are_allowed(void **state)
{
    (void)state;
    fw_config_t *config =
        load_good(NULL, NULL,
                  TEXTS("--broker-offset=-9223372036854775808", "--broker-credit=1",
                        "--broker-barrier-timeout=1m", "--broker-frame-bytes=1KiB"));
    assert_true(fw_config_number(config, "broker.offset") == INT64_MIN);
    assert_int_equal(fw_config_number(config, "broker.credit"), 1);
    assert_int_equal(fw_config_number(config, "broker.barrier_timeout"), 60000);
    assert_int_equal(fw_config_number(config, "broker.frame_bytes"), 1024);
    fw_config_destroy(&config);
    config = load_good(NULL, NULL, TEXTS("--broker-offset=9223372036854775807"));
    assert_true(fw_config_number(config, "broker.offset") == INT64_MAX);
    fw_config_destroy(&config);
}

static void one_option_set_twice_in_one_layer_is_refused(void **state)
{
    (void)state;
    expect_error(-EINVAL, NULL, NULL, TEXTS("--broker-credit=1", "--broker-credit=2"),
                 "--broker-credit: broker.credit: is already set by --broker-credit");
    scratch_t file = make_file("s3cret\n", 7);
    char from_file[128];
    (void)snprintf(from_file, sizeof from_file, "FRESHWIRE_GATEWAY_AUTH_KEY_FILE=%s", file.path);
    expect_error(-EINVAL, NULL, TEXTS("FRESHWIRE_GATEWAY_AUTH_KEY=a", from_file), NULL,
                 "FRESHWIRE_GATEWAY_AUTH_KEY_FILE: gateway.auth.key: is already set by "
                 "FRESHWIRE_GATEWAY_AUTH_KEY");
    drop_file(&file);
}

static void a_flag_without_its_value_is_refused(void **state)
{
    (void)state;
    refuse_flag("--gateway-listen", "--gateway-listen: needs a value");
    expect_error(-EINVAL, NULL, NULL, TEXTS("--gateway-listen", "--broker-credit=1"),
                 "--gateway-listen: needs a value");
    refuse_flag("--no-gateway-anonymous=true", "--no-gateway-anonymous: takes no value");
}

static void a_secret_never_appears_in_a_message_or_in_print(void **state)
{
    (void)state;
    scratch_t zero = make_file("abc\0def", 7);
    char flag[128];
    (void)snprintf(flag, sizeof flag, "--gateway-auth-key-file=%s", zero.path);
    refuse_flag(flag, "--gateway-auth-key-file: gateway.auth.key: must be free of zero bytes");
    drop_file(&zero);
    refuse_flag("--gateway-publish-keys=s3cret,,x",
                "--gateway-publish-keys: gateway.publish_keys: must be a list without empty items");
    fw_config_t *config = load_good(
        NULL, NULL, TEXTS("--gateway-auth-key=s3cret", "--gateway-publish-keys=s3cret-1,s3cret-2"));
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    fw_config_print(config, out);
    (void)fclose(out);
    assert_null(strstr(text, "s3cret"));
    assert_non_null(strstr(text, "    key: \"********\" # --gateway-auth-key\n"));
    assert_non_null(strstr(text, "  publish_keys: [\"********\", \"********\"] # "));
    free(text);
    fw_config_destroy(&config);
}

static void a_secret_file_that_cannot_be_read_is_reported(void **state)
{
    (void)state;
    expect_error(-ENOENT, NULL, TEXTS("FRESHWIRE_GATEWAY_AUTH_KEY_FILE=/nowhere/key"), NULL,
                 "FRESHWIRE_GATEWAY_AUTH_KEY_FILE: gateway.auth.key: cannot read "
                 "\"/nowhere/key\": No such file or directory");
    expect_error(-EISDIR, NULL, NULL, TEXTS("--gateway-auth-key-file=/tmp"),
                 "--gateway-auth-key-file: gateway.auth.key: cannot read \"/tmp\": Is a "
                 "directory");
    size_t size = 64 * 1024 + 1;
    char *large = calloc(size, 1);
    memset(large, 'x', size);
    scratch_t file = make_file(large, size);
    free(large);
    char flag[128];
    char text[256];
    (void)snprintf(flag, sizeof flag, "--gateway-auth-key-file=%s", file.path);
    (void)snprintf(text, sizeof text,
                   "--gateway-auth-key-file: gateway.auth.key: cannot read \"%s\": File too large",
                   file.path);
    expect_error(-EFBIG, NULL, NULL, TEXTS(flag), text);
    drop_file(&file);
}

static void hostile_text_is_made_printable_and_short(void **state)
{
    (void)state;
    char flag[2000];
    memset(flag, 'x', sizeof flag);
    memcpy(flag, "--log-level=\x1b[2J\n\xff", 18);
    flag[sizeof flag - 1] = 0;
    char error[512];
    fw_config_t *config = NULL;
    assert_int_equal(load(NULL, NULL, TEXTS(flag), &config, error), -EINVAL);
    assert_non_null(strstr(error, "not \"\\u001b[2J\\n\xef\xbf\xbdxxx"));
    assert_non_null(strstr(error, "xxx...\""));
    assert_true(strlen(error) < 300);
    memset(flag, 'x', sizeof flag - 1);
    memcpy(flag, "--", 2);
    assert_int_equal(load(NULL, NULL, TEXTS(flag), &config, error), -EINVAL);
    assert_non_null(strstr(error, "...: unknown flag"));
}

static void without_any_layer_the_defaults_hold(void **state)
{
    (void)state;
    fw_config_t *config = load_good(NULL, NULL, NULL);
    assert_string_equal(fw_config_text(config, "log.level"), "info");
    assert_int_equal(fw_config_number(config, "broker.credit"), 1000);
    assert_int_equal(fw_config_number(config, "broker.offset"), 0);
    assert_int_equal(fw_config_number(config, "broker.barrier_timeout"), 500);
    assert_int_equal(fw_config_number(config, "broker.frame_bytes"), 1 << 20);
    assert_string_equal(fw_config_text(config, "gateway.listen"), ":8080");
    assert_true(fw_config_bool(config, "gateway.anonymous"));
    const char *const *texts = NULL;
    assert_int_equal(fw_config_list(config, "gateway.origins", &texts), 0);
    assert_string_equal(fw_config_text(config, "gateway.auth.key"), "");
    assert_string_equal(fw_config_origin(config, "log.level"), "default");
    fw_config_destroy(&config);
    assert_null(config);
    fw_config_destroy(&config);
}

static void flags_win_over_environment_and_that_over_the_file(void **state)
{
    (void)state;
    const char yaml[] = "broker:\n  credit: 1\n  offset: 1\ngateway:\n  listen: 'a:1'\n";
    scratch_t file = make_file(yaml, strlen(yaml));
    fw_config_t *config =
        load_good(file.path,
                  TEXTS("HOME=/root", "FRESHWIRE_BROKER_CREDIT=2", "FRESHWIRE_BROKER_OFFSET=2",
                        "FRESHWIRE_GATEWAY_LISTEN=", "FRESHWIREX=1", "FRESHWIRE_NO_EQUALS"),
                  TEXTS("--broker-credit", "3"));
    assert_int_equal(fw_config_number(config, "broker.credit"), 3);
    assert_int_equal(fw_config_number(config, "broker.offset"), 2);
    assert_string_equal(fw_config_text(config, "gateway.listen"), "a:1");
    assert_string_equal(fw_config_origin(config, "broker.credit"), "--broker-credit");
    assert_string_equal(fw_config_origin(config, "broker.offset"), "FRESHWIRE_BROKER_OFFSET");
    char origin[100];
    (void)snprintf(origin, sizeof origin, "%s:5", file.path);
    assert_string_equal(fw_config_origin(config, "gateway.listen"), origin);
    assert_string_equal(fw_config_origin(config, "log.level"), "default");
    fw_config_destroy(&config);
    drop_file(&file);
}

static void what_is_no_flag_is_left_to_the_caller(void **state)
{
    (void)state;
    texts_t arguments =
        copy_texts("freshwire", TEXTS("gateway", "--broker-credit", "7", "-v",
                                      "--no-gateway-anonymous", "more", "--", "--log-level=debug"));
    char **argv = arguments.texts;
    int argc = (int)arguments.count;
    fw_config_t *config = NULL;
    fw_config_error_t error;
    assert_int_equal(fw_config_load(table, COUNT, NULL, NULL, &argc, argv, &config, &error), 0);
    assert_int_equal(argc, 5);
    static const char *const left[] = {"freshwire", "gateway", "-v", "more", "--log-level=debug"};
    for (int i = 0; i < argc; i++)
        assert_string_equal(argv[i], left[i]);
    assert_null(argv[argc]);
    assert_int_equal(fw_config_number(config, "broker.credit"), 7);
    assert_false(fw_config_bool(config, "gateway.anonymous"));
    assert_string_equal(fw_config_text(config, "log.level"), "info");
    fw_config_destroy(&config);
    drop_texts(&arguments);
}

static void lists_are_split_at_commas_and_secrets_at_lines(void **state)
{
    (void)state;
    scratch_t file = make_file("key one\n\n  key,two  \r\nkey3", 26);
    char entry[128];
    (void)snprintf(entry, sizeof entry, "FRESHWIRE_GATEWAY_PUBLISH_KEYS_FILE=%s", file.path);
    fw_config_t *config =
        load_good(NULL, TEXTS("FRESHWIRE_GATEWAY_ORIGINS= https://a , https://b:1,c", entry), NULL);
    const char *const *texts = NULL;
    assert_int_equal(fw_config_list(config, "gateway.origins", &texts), 3);
    assert_string_equal(texts[0], "https://a");
    assert_string_equal(texts[1], "https://b:1");
    assert_string_equal(texts[2], "c");
    assert_int_equal(fw_config_list(config, "gateway.publish_keys", &texts), 3);
    assert_string_equal(texts[0], "key one");
    assert_string_equal(texts[1], "key,two");
    assert_string_equal(texts[2], "key3");
    fw_config_destroy(&config);
    drop_file(&file);
    config = load_good(NULL, NULL, TEXTS("--gateway-origins="));
    assert_int_equal(fw_config_list(config, "gateway.origins", &texts), 0);
    assert_string_equal(fw_config_origin(config, "gateway.origins"), "--gateway-origins");
    fw_config_destroy(&config);
}

static void a_secret_loses_its_line_end_and_nothing_else(void **state)
{
    (void)state;
    scratch_t file = make_file("  s3cret x \r\n\n", 14);
    char flag[128];
    (void)snprintf(flag, sizeof flag, "--gateway-auth-key-file=%s", file.path);
    fw_config_t *config = load_good(NULL, NULL, TEXTS(flag));
    assert_string_equal(fw_config_text(config, "gateway.auth.key"), "  s3cret x ");
    assert_string_equal(fw_config_origin(config, "gateway.auth.key"), "--gateway-auth-key-file");
    fw_config_destroy(&config);
    drop_file(&file);
}

static void variables_that_kubernetes_adds_for_services_are_passed_over(void **state)
{
    (void)state;
    fw_config_t *config = load_good(
        NULL,
        TEXTS(
            "FRESHWIRE_BROKER_SERVICE_HOST=10.0.0.1", "FRESHWIRE_BROKER_SERVICE_PORT=7001",
            "FRESHWIRE_BROKER_SERVICE_PORT_FIRE=7001", "FRESHWIRE_BROKER_PORT=tcp://10.0.0.1:7001",
            "FRESHWIRE_BROKER_PORT_7001_TCP=tcp://10.0.0.1:7001",
            "FRESHWIRE_BROKER_PORT_7001_TCP_PROTO=tcp", "FRESHWIRE_BROKER_PORT_7001_TCP_PORT=7001",
            "FRESHWIRE_BROKER_PORT_7001_TCP_ADDR=10.0.0.1"),
        NULL);
    fw_config_destroy(&config);
    refuse_variable("FRESHWIRE_BROKER_PORT=7001", "FRESHWIRE_BROKER_PORT: unknown variable");
    refuse_variable("FRESHWIRE_BROKER_PORTS=1", "FRESHWIRE_BROKER_PORTS: unknown variable");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_name_is_refused_with_the_nearest_one),
        cmocka_unit_test(a_value_of_the_wrong_type_is_refused),
        cmocka_unit_test(a_value_outside_its_limits_is_refused_with_the_limit),
        cmocka_unit_test(the_ends_of_the_range_are_allowed),
        cmocka_unit_test(one_option_set_twice_in_one_layer_is_refused),
        cmocka_unit_test(a_flag_without_its_value_is_refused),
        cmocka_unit_test(a_secret_never_appears_in_a_message_or_in_print),
        cmocka_unit_test(a_secret_file_that_cannot_be_read_is_reported),
        cmocka_unit_test(hostile_text_is_made_printable_and_short),
        cmocka_unit_test(without_any_layer_the_defaults_hold),
        cmocka_unit_test(flags_win_over_environment_and_that_over_the_file),
        cmocka_unit_test(what_is_no_flag_is_left_to_the_caller),
        cmocka_unit_test(lists_are_split_at_commas_and_secrets_at_lines),
        cmocka_unit_test(a_secret_loses_its_line_end_and_nothing_else),
        cmocka_unit_test(variables_that_kubernetes_adds_for_services_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
