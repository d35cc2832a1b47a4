/* arena.c - see arena.h.   SPDX-License-Identifier: MPL-2.0 */
#include "proto/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define FW_ARENA_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FW_ARENA_POISON 1
#endif
#endif

#ifdef FW_ARENA_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

enum {
    BLOCK_SIZE = 16 * 1024,
    KEPT_SIZE_MAX = 64 * 1024,
#ifdef FW_ARENA_POISON
    GAP_SIZE = 16, /* so that the address sanitizer sees a read past the end */
#else
    GAP_SIZE = 0,
#endif
};

typedef struct block {
    struct block *next;
    size_t size, used;
    alignas(max_align_t) unsigned char bytes[];
} block_t;

struct fw_arena {
    block_t *blocks; /* the newest and largest first */
};

static block_t *block_new(size_t size, block_t *next)
{
    block_t *block = malloc(sizeof *block + size);
    if (!block)
        abort();
    *block = (block_t){.next = next, .size = size};
    ASAN_POISON_MEMORY_REGION(block->bytes, size);
    return block;
}

static void free_blocks(block_t *block)
{
    while (block) {
        block_t *next = block->next;
        ASAN_UNPOISON_MEMORY_REGION(block->bytes, block->size);
        free(block);
        block = next;
    }
}

fw_arena_t *fw_arena_new(void)
{
    fw_arena_t *self = malloc(sizeof *self);
    if (!self)
        abort();
    self->blocks = block_new(BLOCK_SIZE, NULL);
    return self;
}

void fw_arena_destroy(fw_arena_t **self_p)
{
    if (!*self_p)
        return;
    free_blocks((*self_p)->blocks);
    free(*self_p);
    *self_p = NULL;
}

void *fw_arena_take(fw_arena_t *self, size_t size)
{
    const size_t unit = alignof(max_align_t);
    assert(size <= SIZE_MAX / 4);
    size_t taken = (size ? (size + unit - 1) / unit * unit : unit) + GAP_SIZE;
    if (self->blocks->size - self->blocks->used < taken) {
        size_t doubled = self->blocks->size * 2;
        self->blocks = block_new(taken > doubled ? taken : doubled, self->blocks);
    }
    void *at = self->blocks->bytes + self->blocks->used;
    self->blocks->used += taken;
    ASAN_UNPOISON_MEMORY_REGION(at, size);
    return at;
}

void fw_arena_reset(fw_arena_t *self)
{
    if (self->blocks->size > KEPT_SIZE_MAX) {
        free_blocks(self->blocks);
        self->blocks = block_new(BLOCK_SIZE, NULL);
        return;
    }
    free_blocks(self->blocks->next);
    self->blocks->next = NULL;
    self->blocks->used = 0;
    ASAN_POISON_MEMORY_REGION(self->blocks->bytes, self->blocks->size);
}

size_t fw_arena_held(const fw_arena_t *self)
{
    size_t held = 0;
    for (const block_t *block = self->blocks; block; block = block->next)
        held += block->size;
    return held;
}
