/* registry.h - channels by name, and one after the other.   SPDX-License-Identifier: MPL-2.0
 * Pure. A hash table (open addressing, XXH3) beside a dense array; both borrow the channels. */
#pragma once

#include "gateway/channel.h"

typedef struct fw_registry fw_registry_t;

fw_registry_t *fw_registry_new(void) __attribute__((warn_unused_result));
void fw_registry_destroy(fw_registry_t **self_p);

/* There must be no channel of that name yet. */
void fw_registry_add(fw_registry_t *self, fw_channel_t *channel);
void fw_registry_remove(fw_registry_t *self, fw_channel_t *channel);
fw_channel_t *fw_registry_find(const fw_registry_t *self, fw_text_t name);

size_t fw_registry_count(const fw_registry_t *self);
/* NULL at the end. Removing one moves the last one to its place. */
fw_channel_t *fw_registry_at(const fw_registry_t *self, size_t place);
