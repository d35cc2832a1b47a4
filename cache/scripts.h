/* scripts.h - the Lua scripts of cache/lua as text.   SPDX-License-Identifier: MPL-2.0
 * Each file says what it takes and returns. Called with EVALSHA by their SHA-1; a server that does
 * not know a script (any more) answers NOSCRIPT and is sent its text with EVAL. */
#pragma once

#include "proto/bytes.h"

enum { FW_CACHE_SCRIPT_SHA_SIZE = 40 };

extern const fw_text_t fw_cache_script_bump;
extern const fw_text_t fw_cache_script_capture;
extern const fw_text_t fw_cache_script_acquire;
extern const fw_text_t fw_cache_script_store;
extern const fw_text_t fw_cache_script_release;

/* Hexadecimal, FW_CACHE_SCRIPT_SHA_SIZE characters. */
extern const fw_text_t fw_cache_script_bump_sha;
extern const fw_text_t fw_cache_script_capture_sha;
extern const fw_text_t fw_cache_script_acquire_sha;
extern const fw_text_t fw_cache_script_store_sha;
extern const fw_text_t fw_cache_script_release_sha;
