/* hash.h - uthash with XXH3.   SPDX-License-Identifier: MPL-2.0
 * Out of memory aborts, as everywhere (uthash's default is exit). */
#pragma once

#include <stdlib.h>
#include <xxhash.h>

#define HASH_FUNCTION(key, size, result) ((result) = (unsigned)XXH3_64bits((key), (size)))
#define uthash_fatal(message) abort()
#include <uthash.h>
#include <utlist.h>
