/* wheel.h - very many timers, each O(1) to set and to stop.   SPDX-License-Identifier: MPL-2.0
 * Pure. A hashed wheel; a timer fires at the first turn at or after its deadline, so up to
 * FW_WHEEL_TICK_MS late. The timers of libwebsockets are one sorted list, in which setting one is
 * O(n). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FW_WHEEL_TICK_MS = 50, FW_WHEEL_SLOTS = 1024 };

typedef struct fw_wheel_node fw_wheel_node_t;

/* Lives inside what it belongs to; all zero is stopped. */
struct fw_wheel_node {
    fw_wheel_node_t *next;
    fw_wheel_node_t *previous;
    int64_t deadline_ms;
};

typedef struct fw_wheel fw_wheel_t;
typedef void fw_wheel_fired_fn(void *context, fw_wheel_node_t *node);

fw_wheel_t *fw_wheel_new(int64_t now_ms) __attribute__((warn_unused_result));
/* Timers that are still set are forgotten. */
void fw_wheel_destroy(fw_wheel_t **self_p);

/* Sets it, also when it is set already. */
void fw_wheel_set(fw_wheel_t *self, fw_wheel_node_t *node, int64_t deadline_ms);
void fw_wheel_stop(fw_wheel_node_t *node);
/* Calls fired for each timer that is due, stopped before; it may set and stop any timer. */
void fw_wheel_turn(fw_wheel_t *self, int64_t now_ms, fw_wheel_fired_fn *fired, void *context);
