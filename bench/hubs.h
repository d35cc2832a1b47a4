/* hubs.h - a gateway's hub without its sockets, fed with the very bytes of the links.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "gateway/hub.h"

typedef struct bench_hub bench_hub_t;

/* So many channels "room:<n>", one session for each thousand, subscribed, fenced and asked for: all
 * live at offset 0 of epoch 1. */
bench_hub_t *bench_hub_new(size_t channels);
void bench_hub_destroy(bench_hub_t **self_p);
/* Event n of each channel was lost: the next position that is heard of makes a replay necessary. */
void bench_hub_fall_behind(bench_hub_t *self, uint64_t visible);

/* Frames as the broker sends them; they live until the next call. */
fw_bytes_t bench_hub_event_frame(bench_hub_t *self, size_t channel, uint64_t offset);
fw_bytes_t bench_hub_replay_frame(bench_hub_t *self, size_t channel, uint64_t count);
/* What the uplink does with them: decode, make the entry, hand it to the hub. */
void bench_hub_take_event(bench_hub_t *self, fw_bytes_t frame);
void bench_hub_take_replay(bench_hub_t *self, fw_bytes_t frame);
/* Highest offset that the channel's ring has. */
uint64_t bench_hub_head(bench_hub_t *self, size_t channel);
