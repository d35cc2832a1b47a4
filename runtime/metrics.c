/* metrics.c - counters, gauges and histograms, shown as Prometheus text.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "runtime/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"
#include "runtime/metrics_process.h"

enum { CACHE_LINE = 64, BUCKETS = 12 };

typedef enum { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM } kind_t;

static const struct {
    int64_t us_max;
    const char *label;
} buckets[BUCKETS] = {
    {500, "0.0005"}, {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},
    {10000, "0.01"}, {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},
    {200000, "0.2"}, {500000, "0.5"},  {1000000, "1"},   {2500000, "2.5"},
};

struct fw_counter {
    atomic_uint_least64_t value;
};

struct fw_gauge {
    atomic_int_least64_t value;
};

struct fw_histogram {
    atomic_uint_least64_t counts[BUCKETS + 1]; /* not cumulative; the last is +Inf */
    atomic_uint_least64_t sum_us;
};

/* One label set of a family, on cache lines of its own: two actors that count never wait for each
 * other. */
typedef struct series {
    struct series *next;
    char *labels;
    union {
        fw_counter_t counter;
        fw_gauge_t gauge;
        fw_histogram_t histogram;
    } value;
} series_t;

typedef struct family {
    struct family *next;
    const char *name;
    const char *help;
    kind_t kind;
    series_t *series; /* oldest first */
} family_t;

struct fw_metrics {
    pthread_mutex_t mutex; /* of the lists; series are atomic and never go away */
    family_t *families;    /* oldest first */
};

static void lock(fw_metrics_t *self)
{
    int result = pthread_mutex_lock(&self->mutex);
    assert(result == 0);
    (void)result;
}

static void unlock(fw_metrics_t *self)
{
    int result = pthread_mutex_unlock(&self->mutex);
    assert(result == 0);
    (void)result;
}

fw_metrics_t *fw_metrics_new(void)
{
    fw_metrics_t *self = fw_alloc(1, sizeof *self);
    int result = pthread_mutex_init(&self->mutex, NULL);
    assert(result == 0);
    (void)result;
    return self;
}

static void destroy_family(family_t *family)
{
    while (family->series) {
        series_t *next = family->series->next;
        free(family->series->labels);
        free(family->series);
        family->series = next;
    }
    free(family);
}

void fw_metrics_destroy(fw_metrics_t **self_p)
{
    fw_metrics_t *self = *self_p;
    if (!self)
        return;
    while (self->families) {
        family_t *next = self->families->next;
        destroy_family(self->families);
        self->families = next;
    }
    (void)pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    size_t end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static bool name_is_valid(const char *name, kind_t kind)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    if (strncmp(name, "freshwire_", strlen("freshwire_")) != 0 ||
        strspn(name, letters) != strlen(name))
        return false;
    if (kind == KIND_HISTOGRAM)
        return ends_with(name, "_seconds");
    return ends_with(name, "_total") == (kind == KIND_COUNTER);
}

/* name="value" pairs between commas; in a value, backslash, quote and line end are escaped. */
static bool labels_are_valid(const char *labels)
{
    const char *cursor = labels;
    while (*cursor) {
        size_t name = strspn(cursor, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (name == 0 || (*cursor >= '0' && *cursor <= '9') || strncmp(cursor, "le=", 3) == 0 ||
            strncmp(cursor + name, "=\"", 2) != 0)
            return false;
        for (cursor += name + 2; *cursor != '"'; cursor++) {
            if (*cursor == '\n' || *cursor == 0)
                return false;
            if (*cursor == '\\' && !strchr("\\\"n", *++cursor))
                return false;
            if (*cursor == 0)
                return false;
        }
        cursor++;
        if (*cursor == ',' && cursor[1])
            cursor++;
        else if (*cursor)
            return false;
    }
    return true;
}

static family_t *find_family(fw_metrics_t *self, kind_t kind, const char *name, const char *help)
{
    family_t **place = &self->families;
    while (*place && strcmp((*place)->name, name) != 0)
        place = &(*place)->next;
    if (!*place) {
        *place = fw_alloc(1, sizeof **place);
        **place = (family_t){.name = name, .help = help, .kind = kind};
    }
    assert((*place)->kind == kind);
    assert(strcmp((*place)->help, help) == 0);
    return *place;
}

static series_t *make_series(const char *labels)
{
    size_t size = (sizeof(series_t) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    series_t *series = aligned_alloc(CACHE_LINE, size);
    if (!series)
        abort(); /* out of memory, as in fw_alloc */
    memset(series, 0, size);
    series->labels = fw_copy_text(labels, strlen(labels));
    return series;
}

static series_t *find_series(fw_metrics_t *self, kind_t kind, const char *name, const char *help,
                             const char *labels)
{
    assert(name_is_valid(name, kind));
    assert(labels_are_valid(labels));
    lock(self);
    series_t **place = &find_family(self, kind, name, help)->series;
    while (*place && strcmp((*place)->labels, labels) != 0)
        place = &(*place)->next;
    if (!*place)
        *place = make_series(labels);
    series_t *series = *place;
    unlock(self);
    return series;
}

fw_counter_t *fw_metrics_counter(fw_metrics_t *self, const char *name, const char *help,
                                 const char *labels)
{
    return &find_series(self, KIND_COUNTER, name, help, labels)->value.counter;
}

fw_gauge_t *fw_metrics_gauge(fw_metrics_t *self, const char *name, const char *help,
                             const char *labels)
{
    return &find_series(self, KIND_GAUGE, name, help, labels)->value.gauge;
}

fw_histogram_t *fw_metrics_histogram(fw_metrics_t *self, const char *name, const char *help,
                                     const char *labels)
{
    return &find_series(self, KIND_HISTOGRAM, name, help, labels)->value.histogram;
}

void fw_counter_add(fw_counter_t *self, uint64_t n)
{
    atomic_fetch_add_explicit(&self->value, n, memory_order_relaxed);
}

uint64_t fw_counter_value(const fw_counter_t *self)
{
    return atomic_load_explicit(&self->value, memory_order_relaxed);
}

void fw_gauge_set(fw_gauge_t *self, int64_t value)
{
    atomic_store_explicit(&self->value, value, memory_order_relaxed);
}

void fw_gauge_add(fw_gauge_t *self, int64_t n)
{
    atomic_fetch_add_explicit(&self->value, n, memory_order_relaxed);
}

int64_t fw_gauge_value(const fw_gauge_t *self)
{
    return atomic_load_explicit(&self->value, memory_order_relaxed);
}

void fw_histogram_observe_us(fw_histogram_t *self, int64_t microseconds)
{
    /* Two clocks may disagree by a little; a negative sum would be read as a restart. */
    if (microseconds < 0)
        microseconds = 0;
    size_t bucket = 0;
    while (bucket < BUCKETS && microseconds > buckets[bucket].us_max)
        bucket++;
    atomic_fetch_add_explicit(&self->counts[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&self->sum_us, (uint64_t)microseconds, memory_order_relaxed);
}

static void write_help(FILE *out, const family_t *family)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    (void)fprintf(out, "# HELP %s ", family->name);
    for (const char *cursor = family->help; *cursor; cursor++) {
        if (*cursor == '\n')
            (void)fputs("\\n", out);
        else if (*cursor == '\\')
            (void)fputs("\\\\", out);
        else
            (void)fputc(*cursor, out);
    }
    (void)fprintf(out, "\n# TYPE %s %s\n", family->name, kinds[family->kind]);
}

/* "name_suffix{labels} " */
static void write_name(FILE *out, const char *name, const char *suffix, const char *labels)
{
    (void)fprintf(out, "%s%s", name, suffix);
    if (*labels)
        (void)fprintf(out, "{%s}", labels);
    (void)fputc(' ', out);
}

static void write_histogram(FILE *out, const char *name, const series_t *series)
{
    const fw_histogram_t *histogram = &series->value.histogram;
    const char *comma = *series->labels ? "," : "";
    uint64_t total = 0;
    for (size_t i = 0; i <= BUCKETS; i++) {
        total += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        (void)fprintf(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, series->labels, comma,
                      i < BUCKETS ? buckets[i].label : "+Inf", total);
    }
    uint64_t sum_us = atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
    write_name(out, name, "_sum", series->labels);
    (void)fprintf(out, "%" PRIu64 ".%06" PRIu64 "\n", sum_us / 1000000, sum_us % 1000000);
    /* The same number as +Inf, also while others are adding. */
    write_name(out, name, "_count", series->labels);
    (void)fprintf(out, "%" PRIu64 "\n", total);
}

static void write_series(FILE *out, const family_t *family, const series_t *series)
{
    switch (family->kind) {
    case KIND_COUNTER:
        write_name(out, family->name, "", series->labels);
        (void)fprintf(out, "%" PRIu64 "\n", fw_counter_value(&series->value.counter));
        break;
    case KIND_GAUGE:
        write_name(out, family->name, "", series->labels);
        (void)fprintf(out, "%" PRId64 "\n", fw_gauge_value(&series->value.gauge));
        break;
    case KIND_HISTOGRAM:
        write_histogram(out, family->name, series);
        break;
    }
}

char *fw_metrics_render(fw_metrics_t *self, size_t *ret_size)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort(); /* out of memory, as in fw_alloc */
    lock(self);
    for (const family_t *family = self->families; family; family = family->next) {
        write_help(out, family);
        for (const series_t *series = family->series; series; series = series->next)
            write_series(out, family, series);
    }
    unlock(self);
    fw_metrics_write_process(out);
    if (fclose(out) != 0)
        abort();
    *ret_size = size;
    return text;
}
