/* json.h - writing text that others may have chosen into JSON.   SPDX-License-Identifier: MPL-2.0
 * Internal to runtime/. Pure. */
#pragma once

#include <stddef.h>

enum { FW_JSON_PIECE_MAX = 6 };

/* Writes the next character of a string, escaped for a JSON string, to piece (not 0-terminated) and
 * moves *text_p behind it. Bytes that are not UTF-8 become U+FFFD; control characters, also the
 * ones a terminal would obey, are escaped. Returns the size of the piece; 0 at the end. */
size_t fw_json_escape(const char **text_p, char piece[FW_JSON_PIECE_MAX])
    __attribute__((warn_unused_result));
