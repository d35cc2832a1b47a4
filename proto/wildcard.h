/* wildcard.h - patterns of channels, rooms and event types.   SPDX-License-Identifier: MPL-2.0
 * Pure. A star stands for any text, a question mark for any one byte; everything else for itself.
 * Patterns of Redis keys have more to them: workers/glob.h. */
#pragma once

#include <stdbool.h>

#include "proto/bytes.h"

/* Does the pattern match the whole text? Time is at most proportional to both sizes multiplied. */
bool fw_wildcard_match(fw_text_t pattern, fw_text_t text);
