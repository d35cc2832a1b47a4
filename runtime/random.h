/* random.h - random bytes, and a small fast generator for jitter.   SPDX-License-Identifier:
 * MPL-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Unpredictable bytes from the kernel; any thread. Ends the process if there are none. */
void fw_random_bytes(void *ret_bytes, size_t size);

/* splitmix64 (Steele, Lea, Flood 2014): reproducible from its seed, not for secrets. */
typedef struct {
    uint64_t state;
} fw_random_t;

uint64_t fw_random_next(fw_random_t *self);
/* Uniform in [0, bound); bound > 0. */
uint64_t fw_random_below(fw_random_t *self, uint64_t bound);
