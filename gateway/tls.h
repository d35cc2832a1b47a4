/* tls.h - the certificate of the public listener: checked before it is used, read again when it
 * changes.   SPDX-License-Identifier: MPL-2.0
 * One per shard, as each has an SSL_CTX of its own. Connections keep the certificate that they
 * began with. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FW_TLS_FILE_BYTES_MAX = 1024 * 1024, /* of certificate or key; larger ones are refused */
    FW_TLS_REASON_SIZE = 256,
};

typedef struct fw_tls fw_tls_t;

/* Reads both files and says what is wrong with them. 0 or -EINVAL. */
int fw_tls_check(const char *certificate_path, const char *key_path,
                 char ret_reason[FW_TLS_REASON_SIZE]) __attribute__((warn_unused_result));

/* Borrows the paths. */
fw_tls_t *fw_tls_new(const char *certificate_path, const char *key_path)
    __attribute__((warn_unused_result));
void fw_tls_destroy(fw_tls_t **self_p);

/* An SSL_CTX that a library may use for connections of its own, of which there are none; borrowed.
 */
void *fw_tls_unused(fw_tls_t *self);
/* Sets up an SSL_CTX (borrowed): TLS 1.2 or newer, and the certificate. 0 or -EINVAL. */
int fw_tls_attach(fw_tls_t *self, void *ssl_ctx, char ret_reason[FW_TLS_REASON_SIZE])
    __attribute__((warn_unused_result));
/* Reads the files again. On -EINVAL the certificate stays as it was. */
int fw_tls_reload(fw_tls_t *self, char ret_reason[FW_TLS_REASON_SIZE])
    __attribute__((warn_unused_result));
/* The files are not those that were read last, and were left alone since the last call. */
bool fw_tls_changed(fw_tls_t *self);
/* When the certificate ends, in seconds since 1970. */
int64_t fw_tls_expires_s(const fw_tls_t *self);
