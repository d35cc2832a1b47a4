/* tally.h - how many there are of each: sessions of a user, of an address.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. A hash table (open addressing) of 16-byte keys; a key whose count falls to 0 takes no
 * memory. Keys are addresses, or hashes with a secret seed. */
#pragma once

#include "proto/bytes.h"

typedef struct {
    uint8_t bytes[16];
} fw_tally_key_t;

typedef struct fw_tally fw_tally_t;

/* seed: secret, so that nobody can choose keys that collide. */
fw_tally_t *fw_tally_new(uint64_t seed) __attribute__((warn_unused_result));
void fw_tally_destroy(fw_tally_t **self_p);

/* The key of a text. */
fw_tally_key_t fw_tally_text(const fw_tally_t *self, fw_text_t text);

/* Counts one more, unless there are limit already: then false. limit 0 = none. */
bool fw_tally_add(fw_tally_t *self, const fw_tally_key_t *key, uint32_t limit)
    __attribute__((warn_unused_result));
/* It must have been counted (assert). */
void fw_tally_remove(fw_tally_t *self, const fw_tally_key_t *key);
uint32_t fw_tally_count(const fw_tally_t *self, const fw_tally_key_t *key);
/* How many keys have a count. */
size_t fw_tally_size(const fw_tally_t *self);
