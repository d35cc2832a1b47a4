/* shared.h - the newest of a value that never changes, for several threads.
 * SPDX-License-Identifier: MPL-2.0
 * Any thread. One puts a new value; others take the newest, read it as long as they like, and give
 * it back. A value is destroyed when it is not the newest any more and nobody has it. */
#pragma once

typedef struct fw_shared fw_shared_t;
typedef void fw_shared_destroy_fn(void *value);

/* Takes the value. */
fw_shared_t *fw_shared_new(void *value, fw_shared_destroy_fn *destroy)
    __attribute__((warn_unused_result));
/* Everybody must have given back what he took (assert). NULL-safe, sets *self_p to NULL. */
void fw_shared_destroy(fw_shared_t **self_p);

/* Takes the value: it is the newest now. */
void fw_shared_put(fw_shared_t *self, void *value);
const void *fw_shared_take(fw_shared_t *self) __attribute__((warn_unused_result));
void fw_shared_give_back(fw_shared_t *self, const void *value);
