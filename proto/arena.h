/* arena.h - memory that is freed all at once.   SPDX-License-Identifier: MPL-2.0
 * Keeps its largest block between uses, so that a busy codec does not call malloc. */
#pragma once

#include <stddef.h>

typedef struct fw_arena fw_arena_t;

fw_arena_t *fw_arena_new(void) __attribute__((warn_unused_result));
void fw_arena_destroy(fw_arena_t **self_p);
/* Size bytes, aligned for any type, not zeroed, until the next reset; never NULL. */
void *fw_arena_take(fw_arena_t *self, size_t size) __attribute__((warn_unused_result));
/* Forgets everything taken. Blocks beyond 64 KiB are given back. */
void fw_arena_reset(fw_arena_t *self);
/* Bytes of memory that the arena holds, taken or not. */
size_t fw_arena_held(const fw_arena_t *self);
