/* fuzz_cache_entry.c - any bytes as a cache entry; what is read must be written back alike.
 * SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>

#include "cache/entry.h"
#include "cache/payload.h"

enum { PAYLOAD_LIMIT = 65536 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fw_bytes_t value = {data, size};
    (void)fw_cache_value_kind(value);
    (void)fw_cache_stamp_parse(value);
    (void)fw_cache_payload_is_value(value);
    fw_cache_entry_t entry;
    if (fw_cache_entry_decode(value, PAYLOAD_LIMIT, &entry) != 0) {
        return 0;
    }
    /* Every entry has the epoch. */
    if (entry.stamps_count == 0 || entry.stamps[0].tag.size != 0) {
        abort();
    }
    (void)fw_cache_payload_is_value(entry.payload);
    uint8_t *encoded = NULL;
    size_t encoded_size = 0;
    if (fw_cache_entry_encode(&entry, &encoded, &encoded_size) != 0) {
        abort();
    }
    fw_cache_entry_t again;
    if (fw_cache_entry_decode((fw_bytes_t){encoded, encoded_size}, PAYLOAD_LIMIT, &again) != 0) {
        abort();
    }
    if (!fw_bytes_equal(entry.payload, again.payload) || entry.start_us != again.start_us ||
        fw_cache_entry_fresh(&again, entry.stamps, entry.stamps_count, NULL) != FW_CACHE_FRESH) {
        abort();
    }
    fw_cache_entry_clear(&again);
    fw_cache_entry_clear(&entry);
    free(encoded);
    return 0;
}
