/* metrics.h - counters, gauges and histograms, shown as Prometheus text.   SPDX-License-Identifier:
 * MPL-2.0 Series are made while starting, from any thread, and never go away; adding to one is a
 * relaxed atomic add and may be done from any thread. Names begin with freshwire_, use base units,
 * and end in _total for counters. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct fw_metrics fw_metrics_t;
typedef struct fw_counter fw_counter_t;     /* only grows */
typedef struct fw_gauge fw_gauge_t;         /* goes up and down */
typedef struct fw_histogram fw_histogram_t; /* seconds, with the buckets of fw_metrics_histogram */

fw_metrics_t *fw_metrics_new(void) __attribute__((warn_unused_result));
/* Only after every actor that uses it has stopped. */
void fw_metrics_destroy(fw_metrics_t **self_p);

/* The series of a name and a label set such as "reason=\"oversize\"" ("" for none); asked for
 * twice, it is the same one. name and help must be literals; a name always has one kind and one
 * help (assert). */
fw_counter_t *fw_metrics_counter(fw_metrics_t *self, const char *name, const char *help,
                                 const char *labels);
fw_gauge_t *fw_metrics_gauge(fw_metrics_t *self, const char *name, const char *help,
                             const char *labels);
/* Buckets .0005 .001 .0025 .005 .01 .025 .05 .1 .2 .5 1 2.5 seconds. */
fw_histogram_t *fw_metrics_histogram(fw_metrics_t *self, const char *name, const char *help,
                                     const char *labels);

void fw_counter_add(fw_counter_t *self, uint64_t n);
uint64_t fw_counter_value(const fw_counter_t *self);
void fw_gauge_set(fw_gauge_t *self, int64_t value);
void fw_gauge_add(fw_gauge_t *self, int64_t n);
int64_t fw_gauge_value(const fw_gauge_t *self);
void fw_histogram_observe_us(fw_histogram_t *self, int64_t microseconds);

/* The whole registry as Prometheus text, with process_* series. The caller frees it. */
char *fw_metrics_render(fw_metrics_t *self, size_t *ret_size) __attribute__((warn_unused_result));
