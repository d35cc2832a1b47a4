/* clock.c - the only place that reads a clock.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/clock.h"

#include <assert.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    int result = clock_gettime(id, &now);
    assert(result == 0);
    (void)result;
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t fw_clock_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t fw_clock_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t fw_clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

int64_t fw_clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}
