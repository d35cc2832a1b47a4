/* json_scan.h - what a JSON parser should know before and cannot tell after.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. */
#pragma once

#include "proto/bytes.h"

/* Deepest nesting of arrays and objects, counted outside of strings; for any bytes. */
unsigned fw_json_depth(fw_bytes_t text);

/* The exact bytes of a member's value in a JSON object that a parser has accepted, so that what a
 * publisher wrote travels as it is (no number is rounded). False when there is no such member. */
bool fw_json_member(fw_bytes_t object, const char *key, fw_bytes_t *ret_value)
    __attribute__((warn_unused_result));
