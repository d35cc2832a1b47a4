/* utf8.h - is this text?   SPDX-License-Identifier: MPL-2.0
 * Pure. Well-formed UTF-8 as the Unicode Standard's table 3-7 defines it: shortest forms only, no
 * surrogates, nothing above U+10FFFF. */
#pragma once

#include "proto/bytes.h"

bool fw_utf8_valid(fw_bytes_t bytes);
/* Well-formed, and without U+0000..U+001F and U+007F. */
bool fw_utf8_printable(fw_bytes_t bytes);

/* Copies as many whole characters as fit into size bytes with their closing 0 (size >= 1), '?' for
 * every zero byte and every byte that is not UTF-8. Returns the length written. For text that
 * people read: logs, reasons. */
size_t fw_utf8_copy(char *buffer, size_t size, fw_bytes_t from);
