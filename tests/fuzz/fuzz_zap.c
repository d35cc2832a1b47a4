/* fuzz_zap.c - ZeroMQ's questions about keys, and the rules of peers.   SPDX-License-Identifier:
 * MPL-2.0 The first byte of the input says how many frames follow; each begins with its size. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/zap_request.h"

enum { FRAMES_MAX = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_request(const uint8_t *data, size_t size)
{
    fw_bytes_t frames[FRAMES_MAX];
    fw_zap_request_t request;
    const char *reason = NULL;
    size_t count = 0;
    size_t wanted = size > 0 ? data[0] % (FRAMES_MAX + 1) : 0;
    size_t at = 1;
    /* A frame may be as long as two of its bytes say, so that the limit of 255 is passed as well.
     */
    while (count < wanted && at + 2 <= size) {
        size_t length = ((size_t)data[at] << 8 | data[at + 1]) % 300;
        at += 2;
        if (length > size - at)
            length = size - at;
        frames[count++] = (fw_bytes_t){data + at, length};
        at += length;
    }
    int result = fw_zap_request_parse(frames, count, &request, &reason);
    if (result == 0 && (strlen(request.key) != FW_KEY_SIZE || !fw_key_is_valid(request.key) ||
                        request.domain >= FW_DOMAINS || !memchr(request.address, 0, 64)))
        abort();
    if (result != 0 && !reason)
        abort();
}

static void parse_rule(const uint8_t *data, size_t size)
{
    char *rule = malloc(size + 1);
    fw_keyring_t *keyring = NULL;
    fw_config_error_t error = {""};
    memcpy(rule, data, size);
    rule[size] = '\0';
    const char *const rules[] = {rule};
    if (fw_keyring_new("security.peers", rules, 1, &keyring, &error) == 0)
        fw_keyring_destroy(&keyring);
    else if (!*error.text)
        abort();
    free(rule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse_request(data, size);
    parse_rule(data, size);
    return 0;
}
