/* glob.h - Redis' patterns.   SPDX-License-Identifier: MPL-2.0
 * Pure. Star, question mark, [abc], [^a], [a-z], and a backslash that takes a character literally.
 * Works on bytes and tells capitals apart, as Redis does; ranges compare bytes as unsigned. */
#pragma once

#include "proto/bytes.h"

/* Does the pattern match the whole key? Time is at most proportional to pattern size times key
 * size. */
bool fw_glob_match(fw_text_t pattern, fw_bytes_t key);

/* Copies what every match begins with, escapes taken out, into ret_prefix (as large as the pattern;
 * it may be NULL), without a closing 0. Returns its size. *ret_literal (may be NULL) says that the
 * pattern is nothing but this text. */
size_t fw_glob_prefix(fw_text_t pattern, char *ret_prefix, bool *ret_literal);

/* Writes a pattern that matches exactly the keys that begin with prefix: escaped, and a star.
 * ret_pattern has room for 2 * size + 2 bytes and gets a closing 0. Returns the pattern's size. */
size_t fw_glob_begins_with(const char *prefix, size_t size, char *ret_pattern);
