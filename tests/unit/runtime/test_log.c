/* test_log.c - one line per event, whatever is in it.   SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <czmq.h>
#include <libwebsockets.h>

#include "runtime/log.h"
#include "tests/unit/runtime/seed.h"

/* The standard error of this process, caught in a file. */
typedef struct {
    int real;
    int file;
} capture_t;

static capture_t capture_into(int file)
{
    capture_t capture = {.real = dup(STDERR_FILENO), .file = file};
    assert_true(capture.real >= 0 && capture.file >= 0);
    assert_true(dup2(capture.file, STDERR_FILENO) >= 0);
    return capture;
}

static capture_t begin_capture(void)
{
    char name[] = "/tmp/freshwire-test-log-XXXXXX";
    int file = mkstemp(name);
    assert_true(file >= 0);
    (void)unlink(name);
    return capture_into(file);
}

/* What was written; the caller frees it. */
static char *end_capture(capture_t *capture)
{
    assert_true(dup2(capture->real, STDERR_FILENO) >= 0);
    (void)close(capture->real);
    off_t size = lseek(capture->file, 0, SEEK_END);
    assert_true(size >= 0);
    char *text = calloc((size_t)size + 1, 1);
    assert_non_null(text);
    assert_int_equal(pread(capture->file, text, (size_t)size, 0), size);
    (void)close(capture->file);
    return text;
}

/* The one line that was written, parsed; the caller releases it. */
static json_t *end_capture_json(capture_t *capture)
{
    char *text = end_capture(capture);
    size_t size = strlen(text);
    assert_true(size > 0 && size <= PIPE_BUF);
    assert_ptr_equal(strchr(text, '\n'), text + size - 1);
    json_error_t error;
    json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!line)
        print_message("%s: %s\n", error.text, text);
    assert_non_null(line);
    free(text);
    return line;
}

static const char *text_of(json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    assert_non_null(text);
    return text;
}

static void a_line_that_is_too_long_is_cut_and_says_so(void **state)
{
    (void)state;
    fw_log_setup(FW_LOG_INFO, FW_LOG_JSON);
    /* Every length around the limit, so that each part of the line is the one that does not fit. */
    char *long_text = calloc(6000, 1);
    assert_non_null(long_text);
    for (size_t size = 3900; size < 4100; size++) {
        memset(long_text, 'x', size);
        long_text[size] = 0;
        capture_t capture = begin_capture();
        fw_log(FW_LOG_INFO, "long", FW_KV_TEXT("text", long_text), FW_KV_INT("number", -123456),
               FW_KV_TEXT("last", "\n\n\n\n\n"));
        json_t *line = end_capture_json(&capture);
        bool whole = json_object_get(line, "last") && strlen(text_of(line, "last")) == 5;
        assert_true(json_is_true(json_object_get(line, "truncated")) != whole);
        json_t *number = json_object_get(line, "number");
        assert_true(!number || json_integer_value(number) == -123456);
        json_decref(line);
    }
    free(long_text);
}

static void a_text_that_ends_exactly_at_the_limit_leaves_the_line_whole(void **state)
{
    (void)state;
    char *long_text = calloc(6000, 1);
    assert_non_null(long_text);
    for (int format = FW_LOG_JSON; format <= FW_LOG_TEXT; format++) {
        fw_log_setup(FW_LOG_INFO, (fw_log_format_t)format);
        for (size_t size = 3900; size < 4100; size++) {
            memset(long_text, ' ', size);
            long_text[size] = 0;
            capture_t capture = begin_capture();
            fw_log(FW_LOG_INFO, "long", FW_KV_TEXT("a", long_text), FW_KV_TEXT("b", long_text));
            char *text = end_capture(&capture);
            assert_true(strlen(text) <= PIPE_BUF);
            assert_non_null(strstr(text, "truncated"));
            free(text);
        }
    }
    free(long_text);
}

static void an_endless_message_or_key_is_cut_too(void **state)
{
    (void)state;
    fw_log_setup(FW_LOG_INFO, FW_LOG_JSON);
    char *long_text = calloc(10000, 1);
    assert_non_null(long_text);
    memset(long_text, '\x01', 9999); /* six bytes each once escaped */
    capture_t capture = begin_capture();
    fw_log(FW_LOG_INFO, long_text, FW_KV_INT("number", 1));
    json_t *line = end_capture_json(&capture);
    assert_true(json_is_true(json_object_get(line, "truncated")));
    assert_null(json_object_get(line, "number"));
    json_decref(line);
    capture = begin_capture();
    fw_log(FW_LOG_INFO, "short", FW_KV_INT(long_text, 1));
    line = end_capture_json(&capture);
    assert_true(json_is_true(json_object_get(line, "truncated")));
    assert_int_equal(json_object_size(line), 5);
    json_decref(line);
    free(long_text);
}

static void hostile_bytes_stay_inside_their_string(void **state)
{
    (void)state;
    fw_log_setup(FW_LOG_INFO, FW_LOG_JSON);
    capture_t capture = begin_capture();
    fw_log(FW_LOG_WARN, "bad\n{\"level\":\"error\"}", FW_KV_TEXT("channel", "\"},\xff\x1b[2J"),
           FW_KV_TEXT("nothing", NULL));
    json_t *line = end_capture_json(&capture);
    assert_string_equal(text_of(line, "level"), "warn");
    assert_string_equal(text_of(line, "msg"), "bad\n{\"level\":\"error\"}");
    assert_string_equal(text_of(line, "channel"), "\"},\xef\xbf\xbd\x1b[2J");
    assert_string_equal(text_of(line, "nothing"), "");
    json_decref(line);
}

static void random_lines_are_always_one_json_object(void **state)
{
    (void)state;
    fw_random_t random = seeded_random();
    fw_log_setup(FW_LOG_INFO, FW_LOG_JSON);
    for (int i = 0; i < 300; i++) {
        char text[3][3000];
        for (int j = 0; j < 3; j++) {
            size_t size = fw_random_below(&random, sizeof text[j]);
            for (size_t k = 0; k < size; k++)
                text[j][k] = (char)(1 + fw_random_below(&random, 255));
            text[j][size] = 0;
        }
        capture_t capture = begin_capture();
        fw_log(FW_LOG_INFO, text[0], FW_KV_TEXT("a", text[1]), FW_KV_TEXT("b", text[2]));
        json_decref(end_capture_json(&capture));
    }
}

static void a_json_line_has_its_time_level_actor_and_fields(void **state)
{
    (void)state;
    fw_log_setup(FW_LOG_DEBUG, FW_LOG_JSON);
    fw_log_set_actor("broker");
    capture_t capture = begin_capture();
    errno = ENOENT;
    fw_log(FW_LOG_DEBUG, "worker joined", FW_KV_TEXT("worker", "w-1"),
           FW_KV_UINT("max", UINT64_MAX), FW_KV_INT("min", INT64_MIN), FW_KV_ERROR(-EADDRINUSE));
    assert_int_equal(errno, ENOENT);
    fw_log_set_actor("main");
    char *text = end_capture(&capture);
    /* jansson's numbers end at 63 bits, so the largest is looked for in the text. */
    assert_non_null(strstr(text, ",\"max\":18446744073709551615,\"min\":-9223372036854775808,"));
    assert_non_null(
        strstr(text, "\"level\":\"debug\",\"actor\":\"broker\",\"msg\":\"worker joined\""));
    assert_non_null(strstr(text, "\"worker\":\"w-1\""));
    assert_non_null(strstr(text, "\"error\":\"Address already in use\"}\n"));
    /* Each digit of the time is one, and the rest stands where RFC 3339 has it. */
    static const char shape[] = "{\"ts\":\"0000-00-00T00:00:00.000000Z\",";
    for (size_t i = 0; i < strlen(shape); i++)
        assert_true(shape[i] == '0' ? text[i] >= '0' && text[i] <= '9' : text[i] == shape[i]);
    assert_true(strtol(text + strlen("{\"ts\":\""), NULL, 10) >= 2024);
    free(text);
}

static void a_line_below_the_level_is_not_written(void **state)
{
    (void)state;
    fw_log_setup(FW_LOG_WARN, FW_LOG_JSON);
    capture_t capture = begin_capture();
    fw_log(FW_LOG_INFO, "unseen");
    assert_false(fw_log_enabled(FW_LOG_INFO));
    fw_log_set_level(FW_LOG_INFO);
    assert_true(fw_log_enabled(FW_LOG_INFO));
    fw_log(FW_LOG_INFO, "seen");
    json_t *line = end_capture_json(&capture);
    assert_string_equal(text_of(line, "msg"), "seen");
    json_decref(line);
}

static void text_lines_quote_what_could_be_misread(void **state)
{
    (void)state;
    fw_log_setup(FW_LOG_INFO, FW_LOG_TEXT);
    capture_t capture = begin_capture();
    fw_log(FW_LOG_ERROR, "link lost\x1b[2J", FW_KV_TEXT("peer", "10.0.0.1"),
           FW_KV_TEXT("why", "a b=\"c\""), FW_KV_TEXT("empty", ""), FW_KV_INT("n", -1));
    char *text = end_capture(&capture);
    assert_non_null(strstr(text, " ERROR [main] link lost\\u001b[2J peer=10.0.0.1 "
                                 "why=\"a b=\\\"c\\\"\" empty=\"\" n=-1\n"));
    free(text);
}

static void a_long_text_line_is_cut_and_says_so(void **state)
{
    (void)state;
    fw_log_setup(FW_LOG_INFO, FW_LOG_TEXT);
    char *long_text = calloc(6000, 1);
    assert_non_null(long_text);
    memset(long_text, 'x', 5999);
    capture_t capture = begin_capture();
    fw_log(FW_LOG_INFO, "long", FW_KV_TEXT("a", long_text), FW_KV_TEXT("b", "c"));
    char *text = end_capture(&capture);
    assert_true(strlen(text) <= PIPE_BUF);
    const char *end = " [truncated]\n";
    assert_string_equal(text + strlen(text) - strlen(end), end);
    free(text);
    free(long_text);
}

/* Reads what a line looks like on a terminal. */
static void read_on_terminal(char *ret_text, size_t size)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    assert_int_equal(grantpt(terminal), 0);
    assert_int_equal(unlockpt(terminal), 0);
    int real = dup(STDERR_FILENO);
    int other = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(other >= 0);
    assert_true(dup2(other, STDERR_FILENO) >= 0);
    fw_log_setup(FW_LOG_INFO, FW_LOG_AUTO);
    fw_log(FW_LOG_INFO, "ready", FW_KV_INT("port", 1));
    assert_true(dup2(real, STDERR_FILENO) >= 0);
    ssize_t got = read(terminal, ret_text, size - 1);
    assert_true(got > 0);
    ret_text[got] = 0;
    (void)close(real);
    (void)close(other);
    (void)close(terminal);
}

static void a_terminal_gets_colours_unless_no_color_is_set(void **state)
{
    (void)state;
    char text[512];
    assert_int_equal(unsetenv("NO_COLOR"), 0);
    read_on_terminal(text, sizeof text);
    assert_non_null(strstr(text, "\033[32mINFO \033[0m [main] ready \033[2mport=\033[0m1"));
    assert_int_equal(setenv("NO_COLOR", "1", 1), 0);
    read_on_terminal(text, sizeof text);
    assert_non_null(strstr(text, " INFO  [main] ready port=1"));
    assert_null(strchr(text, '\033'));
    assert_int_equal(unsetenv("NO_COLOR"), 0);
}

static void a_pipe_gets_json_by_itself(void **state)
{
    (void)state;
    capture_t capture = begin_capture();
    fw_log_setup(FW_LOG_INFO, FW_LOG_AUTO);
    fw_log(FW_LOG_INFO, "ready");
    json_decref(end_capture_json(&capture));
}

static void what_libraries_say_becomes_our_lines(void **state)
{
    (void)state;
    fw_log_setup(FW_LOG_INFO, FW_LOG_JSON);
    capture_t capture = begin_capture();
    zsys_error("no %s", "socket");
    json_t *line = end_capture_json(&capture);
    assert_string_equal(text_of(line, "level"), "error");
    assert_string_equal(text_of(line, "msg"), "no socket");
    assert_string_equal(text_of(line, "library"), "czmq");
    json_decref(line);
    capture = begin_capture();
    lwsl_warn("odd header\n");
    lwsl_notice("unseen\n");
    line = end_capture_json(&capture);
    assert_string_equal(text_of(line, "level"), "warn");
    assert_string_equal(text_of(line, "msg"), "odd header");
    assert_string_equal(text_of(line, "library"), "libwebsockets");
    json_decref(line);
}

enum { WRITERS = 4, LINES = 200 };

static void *write_lines(void *args)
{
    const char *const *name = args;
    fw_log_set_actor(*name);
    char padding[200];
    memset(padding, 'p', sizeof padding - 1);
    padding[sizeof padding - 1] = 0;
    for (int i = 0; i < LINES; i++)
        fw_log(FW_LOG_INFO, "line", FW_KV_INT("n", i), FW_KV_TEXT("padding", padding));
    return NULL;
}

static void lines_of_many_threads_are_never_mixed(void **state)
{
    (void)state;
    const char *names[WRITERS] = {"one", "two", "three", "four"};
    fw_log_setup(FW_LOG_INFO, FW_LOG_JSON);
    capture_t capture = begin_capture();
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &names[i]), 0);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    char *text = end_capture(&capture);
    int count = 0;
    char *rest = text;
    char *part;
    while ((part = strsep(&rest, "\n")) && *part) {
        json_t *line = json_loads(part, 0, NULL);
        assert_non_null(line);
        json_decref(line);
        count++;
    }
    /* A file without O_APPEND shares one offset between the writers, which the kernel keeps
     * consistent. */
    assert_int_equal(count, WRITERS * LINES);
    free(text);
}

static void ten_lines_in_ten_seconds_pass_and_the_others_are_counted(void **state)
{
    (void)state;
    fw_log_limit_t limit = {0};
    uint64_t suppressed = 99;
    for (int i = 0; i < 10; i++) {
        assert_true(fw_log_limited(&limit, 1000 + i, &suppressed));
        assert_true(suppressed == 0);
    }
    for (int i = 0; i < 500; i++)
        assert_false(fw_log_limited(&limit, 1100 + i, &suppressed));
    assert_false(fw_log_limited(&limit, 10999, &suppressed));
    assert_true(fw_log_limited(&limit, 11000, &suppressed));
    assert_true(suppressed == 501);
    assert_true(fw_log_limited(&limit, 11001, &suppressed));
    assert_true(suppressed == 0);
}

static void levels_are_parsed_and_others_refused(void **state)
{
    (void)state;
    fw_log_level_t level = FW_LOG_ERROR;
    assert_int_equal(fw_log_level_parse("", &level), -EINVAL);
    assert_int_equal(fw_log_level_parse("INFO", &level), -EINVAL);
    assert_int_equal(fw_log_level_parse("information", &level), -EINVAL);
    assert_int_equal(fw_log_level_parse("debug", &level), 0);
    assert_int_equal(level, FW_LOG_DEBUG);
    assert_int_equal(fw_log_level_parse("warn", &level), 0);
    assert_int_equal(level, FW_LOG_WARN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_that_is_too_long_is_cut_and_says_so),
        cmocka_unit_test(a_text_that_ends_exactly_at_the_limit_leaves_the_line_whole),
        cmocka_unit_test(an_endless_message_or_key_is_cut_too),
        cmocka_unit_test(hostile_bytes_stay_inside_their_string),
        cmocka_unit_test(random_lines_are_always_one_json_object),
        cmocka_unit_test(a_json_line_has_its_time_level_actor_and_fields),
        cmocka_unit_test(a_line_below_the_level_is_not_written),
        cmocka_unit_test(text_lines_quote_what_could_be_misread),
        cmocka_unit_test(a_long_text_line_is_cut_and_says_so),
        cmocka_unit_test(a_terminal_gets_colours_unless_no_color_is_set),
        cmocka_unit_test(a_pipe_gets_json_by_itself),
        cmocka_unit_test(what_libraries_say_becomes_our_lines),
        cmocka_unit_test(lines_of_many_threads_are_never_mixed),
        cmocka_unit_test(ten_lines_in_ten_seconds_pass_and_the_others_are_counted),
        cmocka_unit_test(levels_are_parsed_and_others_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
