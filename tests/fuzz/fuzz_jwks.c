/* fuzz_jwks.c - any bytes as a JSON Web Key Set, as PEM text and as a secret.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* No key that somebody made up has made this signature. */
static void use_keys(const fw_keys_t *keys)
{
    static const uint8_t zeros[FW_SIGNATURE_SIZE_MAX];
    static const uint8_t message[] = "eyJhbGciOiJSUzI1NiJ9.e30";
    static const size_t sizes[] = {0, 32, 64, 256, FW_SIGNATURE_SIZE_MAX};
    require(fw_keys_count(keys) <= FW_KEYS_MAX);
    for (int algorithm = FW_KEY_HS256; algorithm <= FW_KEY_EDDSA; algorithm++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            int result = fw_keys_verify(keys, (fw_key_algorithm_t)algorithm, FW_TEXT_NONE,
                                        (fw_bytes_t){message, sizeof message - 1},
                                        (fw_bytes_t){zeros, sizes[i]});
            require(result == -EACCES || result == -ENOKEY);
        }
}

static size_t add_jwks(fw_bytes_t bytes, bool secrets)
{
    fw_keys_t *keys = fw_keys_new();
    const char *reason = "";
    size_t skipped = 0;
    int result = fw_keys_add_jwks(keys, bytes, secrets, &skipped, &reason);
    require(result == 0 || (result == -EINVAL && *reason));
    require(result != 0 || fw_keys_count(keys) > 0);
    use_keys(keys);
    size_t count = fw_keys_count(keys);
    fw_keys_destroy(&keys);
    return result == 0 ? count : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fw_bytes_t bytes = {data, size};
    const char *reason = "";
    /* What a URL may serve is never more than what a file may hold. */
    size_t served = add_jwks(bytes, false);
    size_t held = add_jwks(bytes, true);
    require(served <= held || held == 0);
    fw_keys_t *keys = fw_keys_new();
    int result = fw_keys_add_pem(keys, (fw_text_t){(const char *)data, size}, &reason);
    require(result == 0 || (result == -EINVAL && *reason));
    use_keys(keys);
    fw_keys_destroy(&keys);
    keys = fw_keys_new();
    reason = "";
    result = fw_keys_add_secret(keys, FW_TEXT_NONE, bytes, &reason);
    require(result == 0 ? size >= FW_KEY_SECRET_SIZE_MIN : *reason != '\0');
    fw_keys_destroy(&keys);
    return 0;
}
