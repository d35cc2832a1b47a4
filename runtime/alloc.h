/* alloc.h - memory that is always there.   SPDX-License-Identifier: MPL-2.0
 * Out of memory ends the process: so every size that comes from outside is bounded before it gets
 * here. */
#pragma once

#include <stddef.h>

/* Zeroed memory of count * size bytes; never NULL. The caller frees it with free(). */
void *fw_alloc(size_t count, size_t size) __attribute__((warn_unused_result, malloc));
/* As realloc(3) for count * size bytes; the new part is not zeroed; never NULL. */
void *fw_realloc(void *old, size_t count, size_t size) __attribute__((warn_unused_result));
/* A copy of size bytes with a closing 0; never NULL. The caller frees it. */
char *fw_copy_text(const char *text, size_t size) __attribute__((warn_unused_result, malloc));

/* fw_auto(zmsg_destroy) zmsg_t *msg = NULL; calls the destructor at the end of the scope. */
#define fw_auto(destructor) __attribute__((cleanup(destructor)))
