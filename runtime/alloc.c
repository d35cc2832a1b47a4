/* alloc.c - memory that is always there.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/alloc.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* There is no memory to format with: the text is fixed. */
static void __attribute__((noreturn)) die(void)
{
    (void)fputs("freshwire: out of memory\n", stderr);
    abort();
}

void *fw_alloc(size_t count, size_t size)
{
    /* calloc checks the product; a size of 0 still gives a pointer that free() takes. */
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory)
        die();
    return memory;
}

void *fw_realloc(void *old, size_t count, size_t size)
{
    void *memory = reallocarray(old, count ? count : 1, size ? size : 1);
    if (!memory)
        die();
    return memory;
}

char *fw_copy_text(const char *text, size_t size)
{
    assert(text || size == 0);
    assert(size < SIZE_MAX);
    char *copy = malloc(size + 1);
    if (!copy)
        die();
    if (size > 0)
        memcpy(copy, text, size);
    copy[size] = 0;
    return copy;
}
