/* token.c - see token.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/token.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

size_t make_base64url(const void *data, size_t size, char *out)
{
    const uint8_t *bytes = data;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t written = 0;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (left > 1)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2)
            group |= bytes[i + 2];
        size_t count = left > 2 ? 4 : left + 1;
        for (size_t k = 0; k < count; k++)
            out[written++] = digits[group >> (18 - 6 * k) & 63];
    }
    out[written] = '\0';
    return written;
}

char *make_token(const char *secret, const char *header, const char *claims)
{
    size_t size = 2 * (strlen(header) + strlen(claims)) + 128;
    char *token = calloc(1, size);
    uint8_t hash[32];
    assert(token);
    size_t end = make_base64url(header, strlen(header), token);
    token[end++] = '.';
    end += make_base64url(claims, strlen(claims), token + end);
    int result = gnutls_hmac_fast(GNUTLS_MAC_SHA256, secret, strlen(secret), token, end, hash);
    assert(result == 0);
    (void)result;
    token[end++] = '.';
    (void)make_base64url(hash, sizeof hash, token + end);
    return token;
}

char *make_good_token(const char *claims)
{
    return make_token(TEST_SECRET, "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", claims);
}
