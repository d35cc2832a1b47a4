/* arena.c - see arena.h.   SPDX-License-Identifier: MPL-2.0 */
#include "proto/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

enum { BLOCK_SIZE = 16 * 1024, KEPT_SIZE_MAX = 64 * 1024 };

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
    return block;
}

fw_arena_t *fw_arena_new(void)
{
    fw_arena_t *self = malloc(sizeof *self);
    if (!self)
        abort();
    self->blocks = block_new(BLOCK_SIZE, NULL);
    return self;
}

static void free_blocks(block_t *block)
{
    while (block) {
        block_t *next = block->next;
        free(block);
        block = next;
    }
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
    size = size ? (size + unit - 1) / unit * unit : unit;
    if (self->blocks->size - self->blocks->used < size) {
        size_t doubled = self->blocks->size * 2;
        self->blocks = block_new(size > doubled ? size : doubled, self->blocks);
    }
    void *taken = self->blocks->bytes + self->blocks->used;
    self->blocks->used += size;
    return taken;
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
}
