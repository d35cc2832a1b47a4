/* many_channels.h - a gateway's shard with very many channels and no browsers.
 * SPDX-License-Identifier: MPL-2.0
 * Its hub and its links to a broker, in the caller's thread: many_channels_turn does what a shard's
 * loop does. Sessions that nobody reads hold the channels. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/metrics.h"
#include "runtime/security.h"

typedef struct many_channels many_channels_t;

typedef struct {
    size_t channels;
    const char *events_endpoint, *control_endpoint, *publish_endpoint;
    fw_metrics_t *metrics;
    const fw_security_t *security; /* NULL = none */
} many_channels_options_t;

/* NULL when an endpoint is none. Channel i is "room:<i>". */
many_channels_t *many_channels_new(const many_channels_options_t *options);
void many_channels_destroy(many_channels_t **self_p);

/* One turn of the loop; waits a millisecond when there was nothing to do. */
void many_channels_turn(many_channels_t *self);
/* Channels whose position is known and that need nothing; after many_channels_renew only those
 * that have another epoch than at that moment. */
size_t many_channels_live(const many_channels_t *self);
void many_channels_renew(many_channels_t *self);
/* Turns until all are live; milliseconds, or -1 when it took longer than timeout_ms. */
int64_t many_channels_await(many_channels_t *self, int64_t timeout_ms);
/* Topics that the channels share: what the broker holds of them. */
size_t many_channels_topics(const many_channels_t *self);
/* Where one channel's ring stands. */
uint64_t many_channels_head(const many_channels_t *self, size_t channel);
