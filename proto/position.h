/* position.h - a place in a channel, and its text forms.   SPDX-License-Identifier: MPL-2.0
 * Pure. Epochs are 60-bit numbers shown as base32 text; 0 is "no epoch known". Offsets are
 * decimal. */
#pragma once

#include "proto/bytes.h"

enum { FW_EPOCH_TEXT_SIZE_MAX = 12, FW_OFFSET_TEXT_SIZE_MAX = 20 };

#define FW_EPOCH_MAX ((UINT64_C(1) << 60) - 1)

typedef struct {
    uint64_t epoch;
    uint64_t offset; /* 0 = before the first event */
} fw_position_t;

/* Writes the epoch as lower-case base32 with a closing 0; returns its length (at least 1). */
size_t fw_epoch_format(uint64_t epoch, char ret_text[FW_EPOCH_TEXT_SIZE_MAX + 1]);

/* 0, or -EINVAL when text is not what fw_epoch_format writes. */
int fw_epoch_parse(fw_text_t text, uint64_t *ret_epoch) __attribute__((warn_unused_result));

/* Decimal, no sign, no spaces, up to 2^64 - 1. 0 or -EINVAL. */
int fw_offset_parse(fw_text_t text, uint64_t *ret_offset) __attribute__((warn_unused_result));
