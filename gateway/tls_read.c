/* tls_read.c - what clients send over TLS, seen as inlet.h sees what comes without.
 * SPDX-License-Identifier: MPL-2.0
 * libwebsockets finds this SSL_read before OpenSSL's. */
#include <openssl/ssl.h>

#include "gateway/tls_read.h"
#include "runtime/inlet.h"

enum { DROPPED_READS_MAX = 1024 }; /* more than the pings that may come at once */

__attribute__((visibility("default"))) int SSL_read(SSL *ssl, void *buffer, int size)
{
    for (int i = 0; size > 0 && i < DROPPED_READS_MAX; i++) {
        size_t got = 0;
        size_t passed = 0;
        if (SSL_read_ex(ssl, buffer, (size_t)size, &got) != 1)
            return -1; /* SSL_get_error says why */
        if (!fw_inlet_look(SSL_get_fd(ssl), buffer, got, &passed))
            return (int)got;
        if (passed > 0)
            return (int)passed;
    }
    return -1;
}

void fw_tls_read_link(void)
{
}
