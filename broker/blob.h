/* blob.h - immutable bytes with several holders.   SPDX-License-Identifier: MPL-2.0
 * One event may stand in 64 channels of up to 64 KiB each: its bytes are kept once. One thread
 * only. */
#pragma once

#include "proto/bytes.h"

typedef struct fw_blob fw_blob_t;

/* Copies the bytes; the caller is the first holder. */
fw_blob_t *fw_blob_new(fw_bytes_t bytes) __attribute__((warn_unused_result));
/* One holder more; returns self. */
fw_blob_t *fw_blob_hold(fw_blob_t *self);
/* One holder less; the last one frees it. NULL-safe, sets *self_p to NULL. */
void fw_blob_release(fw_blob_t **self_p);
fw_bytes_t fw_blob_bytes(const fw_blob_t *self);
