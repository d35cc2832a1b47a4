/* wire_samples.h - one or more samples of every message on every link.
 * SPDX-License-Identifier: MPL-2.0
 * Together the samples set every field of every message; the ones called "bare" set none that may
 * be left out. */
#pragma once

#include "tests/support/wire_any.h"

typedef struct {
    const char *name; /* unique, fit for a file name */
    fw_any_t any;
} fw_sample_t;

const fw_sample_t *fw_wire_samples(size_t *ret_count);
