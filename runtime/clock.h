/* clock.h - the only place that reads a clock.   SPDX-License-Identifier: MPL-2.0
 * Timers use the monotonic clock; the wall clock is information only. Any thread. */
#pragma once

#include <stdint.h>

int64_t fw_clock_ms(void); /* monotonic, milliseconds */
int64_t fw_clock_us(void); /* monotonic, microseconds */
int64_t fw_clock_wall_ms(void);
int64_t fw_clock_wall_us(void);
