/* test_metrics.c - what is counted is shown, in a form that Prometheus takes.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/metrics.h"

static char *render(fw_metrics_t *metrics)
{
    size_t size = 0;
    char *text = fw_metrics_render(metrics, &size);
    assert_int_equal(strlen(text), size);
    assert_true(size > 0 && text[size - 1] == '\n');
    return text;
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    for (const char *found = text; (found = strstr(found, part)); found += strlen(part))
        count++;
    return count;
}

static void a_series_asked_for_twice_is_the_same_one(void **state)
{
    (void)state;
    fw_metrics_t *metrics = fw_metrics_new();
    fw_counter_t *first =
        fw_metrics_counter(metrics, "freshwire_bad_total", "Refused.", "reason=\"size\"");
    fw_counter_t *other =
        fw_metrics_counter(metrics, "freshwire_bad_total", "Refused.", "reason=\"utf8\"");
    assert_ptr_equal(
        fw_metrics_counter(metrics, "freshwire_bad_total", "Refused.", "reason=\"size\""), first);
    assert_ptr_not_equal(first, other);
    fw_counter_add(first, 2);
    fw_counter_add(other, 40);
    assert_int_equal(fw_counter_value(first), 2);
    char *text = render(metrics);
    assert_int_equal(count_of(text, "# HELP freshwire_bad_total Refused.\n"), 1);
    assert_int_equal(count_of(text, "# TYPE freshwire_bad_total counter\n"), 1);
    assert_non_null(strstr(text, "\nfreshwire_bad_total{reason=\"size\"} 2\n"));
    assert_non_null(strstr(text, "\nfreshwire_bad_total{reason=\"utf8\"} 40\n"));
    free(text);
    fw_metrics_destroy(&metrics);
    assert_null(metrics);
    fw_metrics_destroy(&metrics);
}

static void a_gauge_goes_up_and_down_and_below_zero(void **state)
{
    (void)state;
    fw_metrics_t *metrics = fw_metrics_new();
    fw_gauge_t *gauge = fw_metrics_gauge(metrics, "freshwire_sessions", "Open sessions.", "");
    fw_gauge_set(gauge, 5);
    fw_gauge_add(gauge, -7);
    assert_int_equal(fw_gauge_value(gauge), -2);
    char *text = render(metrics);
    assert_non_null(strstr(text, "# TYPE freshwire_sessions gauge\nfreshwire_sessions -2\n"));
    free(text);
    fw_metrics_destroy(&metrics);
}

static void a_histogram_is_cumulative_and_its_count_is_its_last_bucket(void **state)
{
    (void)state;
    fw_metrics_t *metrics = fw_metrics_new();
    fw_histogram_t *histogram =
        fw_metrics_histogram(metrics, "freshwire_barrier_seconds", "Time held.", "link=\"a\"");
    const int64_t observed_us[] = {-5, 0, 500, 501, 1000, 200000, 200001, 2500000, 2500001};
    for (size_t i = 0; i < sizeof observed_us / sizeof *observed_us; i++)
        fw_histogram_observe_us(histogram, observed_us[i]);
    char *text = render(metrics);
    assert_non_null(strstr(text, "_bucket{link=\"a\",le=\"0.0005\"} 3\n"));
    assert_non_null(strstr(text, "_bucket{link=\"a\",le=\"0.001\"} 5\n"));
    assert_non_null(strstr(text, "_bucket{link=\"a\",le=\"0.1\"} 5\n"));
    assert_non_null(strstr(text, "_bucket{link=\"a\",le=\"0.2\"} 6\n"));
    assert_non_null(strstr(text, "_bucket{link=\"a\",le=\"0.5\"} 7\n"));
    assert_non_null(strstr(text, "_bucket{link=\"a\",le=\"2.5\"} 8\n"));
    assert_non_null(strstr(text, "_bucket{link=\"a\",le=\"+Inf\"} 9\n"));
    assert_non_null(strstr(text, "freshwire_barrier_seconds_count{link=\"a\"} 9\n"));
    /* 0 + 0 + .0005 + .000501 + .001 + .2 + .200001 + 2.5 + 2.500001 */
    assert_non_null(strstr(text, "freshwire_barrier_seconds_sum{link=\"a\"} 5.402003\n"));
    free(text);
    fw_metrics_destroy(&metrics);
}

static void a_label_value_may_hold_escaped_quotes(void **state)
{
    (void)state;
    fw_metrics_t *metrics = fw_metrics_new();
    fw_gauge_set(fw_metrics_gauge(metrics, "freshwire_build_info", "One\\two\nthree.",
                                  "version=\"a\\\"b\",commit=\"c\\\\\""),
                 1);
    char *text = render(metrics);
    assert_non_null(strstr(text, "# HELP freshwire_build_info One\\\\two\\nthree.\n"));
    assert_non_null(strstr(text, "freshwire_build_info{version=\"a\\\"b\",commit=\"c\\\\\"} 1\n"));
    free(text);
    fw_metrics_destroy(&metrics);
}

static double value_of(const char *text, const char *name)
{
    char begin[64];
    (void)snprintf(begin, sizeof begin, "\n%s ", name);
    const char *found = strstr(text, begin);
    assert_non_null(found);
    return strtod(found + strlen(begin), NULL);
}

static void the_process_is_described(void **state)
{
    (void)state;
    fw_metrics_t *metrics = fw_metrics_new();
    FILE *extra = fopen("/dev/null", "re");
    char *text = render(metrics);
    assert_true(value_of(text, "process_resident_memory_bytes") > 100000);
    assert_true(value_of(text, "process_virtual_memory_bytes") >
                value_of(text, "process_resident_memory_bytes"));
    assert_true(value_of(text, "process_open_fds") >= 4);
    assert_true(value_of(text, "process_max_fds") >= value_of(text, "process_open_fds"));
    assert_true(value_of(text, "process_start_time_seconds") > 1.6e9);
    assert_true(value_of(text, "process_cpu_seconds_total") >= 0);
    double before = value_of(text, "process_open_fds");
    free(text);
    (void)fclose(extra);
    text = render(metrics);
    assert_true(value_of(text, "process_open_fds") == before - 1);
    free(text);
    fw_metrics_destroy(&metrics);
}

/* The rules of the text format 0.0.4, and of promtool's linter as far as names go. */
static void check_line(const char *line, char family[128])
{
    if (strncmp(line, "# HELP ", 7) == 0) {
        size_t size = strcspn(line + 7, " ");
        assert_true(size < 100);
        memcpy(family, line + 7, size);
        family[size] = 0;
        assert_true(strlen(line + 7 + size) >= 3);
        return;
    }
    if (strncmp(line, "# TYPE ", 7) == 0) {
        assert_memory_equal(line + 7, family, strlen(family));
        const char *kind = line + 7 + strlen(family) + 1;
        bool total = strlen(family) > 6 && strcmp(family + strlen(family) - 6, "_total") == 0;
        assert_int_equal(total, strcmp(kind, "counter") == 0);
        return;
    }
    /* A sample belongs to the family above it: all lines of a family stand together. */
    assert_memory_equal(line, family, strlen(family));
    const char *value = strrchr(line, ' ');
    assert_non_null(value);
    char *end = NULL;
    (void)strtod(value + 1, &end);
    assert_true(end > value + 1 && *end == 0);
}

static void every_line_keeps_the_rules_of_the_text_format(void **state)
{
    (void)state;
    fw_metrics_t *metrics = fw_metrics_new();
    (void)fw_metrics_counter(metrics, "freshwire_a_total", "A.", "k=\"1\"");
    (void)fw_metrics_histogram(metrics, "freshwire_b_seconds", "B.", "");
    (void)fw_metrics_gauge(metrics, "freshwire_c", "C.", "");
    (void)fw_metrics_counter(metrics, "freshwire_a_total", "A.", "k=\"2\"");
    char *text = render(metrics);
    char family[128] = "";
    char *rest = text;
    char *line;
    while ((line = strsep(&rest, "\n")))
        if (*line)
            check_line(line, family);
    free(text);
    fw_metrics_destroy(&metrics);
}

enum { THREADS = 4, ADDS = 20000 };

static void *add_many(void *args)
{
    fw_metrics_t *metrics = args;
    fw_counter_t *counter = fw_metrics_counter(metrics, "freshwire_race_total", "Race.", "");
    fw_histogram_t *histogram =
        fw_metrics_histogram(metrics, "freshwire_race_seconds", "Race.", "");
    for (int i = 0; i < ADDS; i++) {
        fw_counter_add(counter, 1);
        fw_histogram_observe_us(histogram, i);
    }
    return NULL;
}

static void many_threads_lose_no_count(void **state)
{
    (void)state;
    fw_metrics_t *metrics = fw_metrics_new();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, metrics), 0);
    for (int i = 0; i < 20; i++)
        free(render(metrics));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    fw_counter_t *counter = fw_metrics_counter(metrics, "freshwire_race_total", "Race.", "");
    assert_int_equal(fw_counter_value(counter), THREADS * ADDS);
    char *text = render(metrics);
    assert_non_null(strstr(text, "freshwire_race_seconds_count 80000\n"));
    free(text);
    fw_metrics_destroy(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_asked_for_twice_is_the_same_one),
        cmocka_unit_test(a_gauge_goes_up_and_down_and_below_zero),
        cmocka_unit_test(a_histogram_is_cumulative_and_its_count_is_its_last_bucket),
        cmocka_unit_test(a_label_value_may_hold_escaped_quotes),
        cmocka_unit_test(the_process_is_described),
        cmocka_unit_test(every_line_keeps_the_rules_of_the_text_format),
        cmocka_unit_test(many_threads_lose_no_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
