/* scripts.h - the Lua scripts of cache/lua as text.   SPDX-License-Identifier: MPL-2.0
 * Each file says what it takes and returns. Loaded with SCRIPT LOAD, called with EVALSHA; a server
 * that lost its scripts answers NOSCRIPT and is given them again. */
#pragma once

#include "proto/bytes.h"

enum { FW_CACHE_SCRIPT_SHA_SIZE = 40 };

extern const fw_text_t fw_cache_script_bump;
extern const fw_text_t fw_cache_script_capture;
extern const fw_text_t fw_cache_script_acquire;
extern const fw_text_t fw_cache_script_store;
extern const fw_text_t fw_cache_script_release;
