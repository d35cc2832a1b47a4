/* fuzz_glob.c - any pattern on any key: what matches begins with the pattern's prefix.
 * SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>

#include "proto/codec.h"
#include "workers/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is a pattern, a 0 and a key. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, 0, size);
    if (!end || (size_t)(end - data) > FW_KEY_SIZE_MAX) {
        return 0;
    }
    fw_text_t pattern = {(const char *)data, (size_t)(end - data)};
    fw_bytes_t key = {end + 1, size - pattern.size - 1};
    char prefix[FW_KEY_SIZE_MAX];
    char begins[2 * FW_KEY_SIZE_MAX + 2];
    bool literal = false;
    size_t prefix_size = fw_glob_prefix(pattern, prefix, &literal);
    size_t begins_size = fw_glob_begins_with(prefix, prefix_size, begins);
    bool has_prefix =
        key.size >= prefix_size && (prefix_size == 0 || memcmp(key.data, prefix, prefix_size) == 0);
    if (fw_glob_match((fw_text_t){begins, begins_size}, key) != has_prefix) {
        abort();
    }
    bool matches = fw_glob_match(pattern, key);
    if (matches && !has_prefix) {
        abort();
    }
    if (literal && matches != (has_prefix && key.size == prefix_size)) {
        abort();
    }
    return 0;
}
