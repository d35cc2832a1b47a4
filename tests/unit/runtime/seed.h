/* seed.h - the seed of a randomised test: new in each run, or FW_TEST_SEED to repeat one.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

#include "runtime/random.h"

static inline fw_random_t seeded_random(void)
{
    fw_random_t random;
    const char *given = getenv("FW_TEST_SEED");
    if (given)
        random.state = strtoull(given, NULL, 10);
    else
        fw_random_bytes(&random.state, sizeof random.state);
    print_message("FW_TEST_SEED=%llu\n", (unsigned long long)random.state);
    return random;
}
