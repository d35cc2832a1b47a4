/* secret_file.h - files that hold a secret.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <stddef.h>

/* Writes a new file that only its owner can read, and never over one that is there: it may be the
 * only copy of a key in use. 0, or a negative errno (-EEXIST); then there is no file. */
int fw_secret_file_write(const char *path, const char *text, size_t size)
    __attribute__((warn_unused_result));
/* The whole file, with a closing 0, at most size_max bytes; the caller overwrites and frees it. 0,
 * or a negative errno (-EFBIG). */
int fw_secret_file_read(const char *path, size_t size_max, char **ret_text, size_t *ret_size)
    __attribute__((warn_unused_result));
