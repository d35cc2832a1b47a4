/* json_check.h - is this one JSON value?   SPDX-License-Identifier: MPL-2.0
 * Pure, no allocation. Payloads are copied into the frames of browsers as they are: one that is not
 * exactly one value would break a frame, or forge another. */
#pragma once

#include "proto/bytes.h"

enum { FW_JSON_DEPTH_MAX = 64 }; /* arrays and objects inside each other */

/* RFC 8259: one value with white space around it, valid UTF-8, nested at most FW_JSON_DEPTH_MAX. */
bool fw_json_valid(fw_bytes_t text);
