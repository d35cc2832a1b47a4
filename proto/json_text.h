/* json_text.h - writes JSON strings.   SPDX-License-Identifier: MPL-2.0
 * Pure. For the hot path only, where a tree of values would be made and freed for every event. */
#pragma once

#include "proto/bytes.h"

/* Appends to a fixed buffer; counts on when it is full, so that needed says how much would have
 * fitted. */
typedef struct {
    char *buffer;
    size_t size;
    size_t needed;
} fw_json_t;

void fw_json_raw(fw_json_t *self, const void *bytes, size_t size);
/* A quoted, escaped string. The text must be UTF-8. U+2028 and U+2029 need no escape in JSON. */
void fw_json_string(fw_json_t *self, fw_text_t text);
/* Base64 (RFC 4648, with padding) in quotes. */
void fw_json_base64(fw_json_t *self, fw_bytes_t bytes);
void fw_json_number(fw_json_t *self, int64_t number);
/* As a quoted decimal: browsers keep 53 bits of a JSON number only. */
void fw_json_quoted_number(fw_json_t *self, uint64_t number);
