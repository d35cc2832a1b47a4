/* random.c - random bytes, and a small fast generator for jitter.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "runtime/random.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void fw_random_bytes(void *ret_bytes, size_t size)
{
    uint8_t *cursor = ret_bytes;
    while (size > 0) {
        ssize_t got = getrandom(cursor, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            /* Going on with guessable ids would be worse than stopping. */
            (void)fputs("freshwire: the kernel gives no random bytes\n", stderr);
            abort();
        }
        cursor += got;
        size -= (size_t)got;
    }
}

uint64_t fw_random_next(fw_random_t *self)
{
    self->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = self->state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

uint64_t fw_random_below(fw_random_t *self, uint64_t bound)
{
    assert(bound > 0);
    /* Values below 2^64 mod bound are drawn again, or small results would be more likely. */
    uint64_t excess = (0 - bound) % bound;
    uint64_t value;
    do
        value = fw_random_next(self);
    while (value < excess);
    return value % bound;
}
