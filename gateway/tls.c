/* tls.c - see tls.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "runtime/alloc.h"

enum { CHAIN_MAX = 16 };

/* What tells one state of a file from another; all zero: there is none. */
typedef struct {
    dev_t device;
    ino_t number;
    off_t size;
    struct timespec changed;
} trace_t;

typedef struct {
    trace_t certificate, key;
} traces_t;

typedef struct {
    X509 *certificate;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
} identity_t;

struct fw_tls {
    const char *certificate_path;
    const char *key_path;
    SSL_CTX *context;
    SSL_CTX *unused;
    traces_t read; /* when the files were read last */
    traces_t seen; /* when they were last looked at */
    int64_t expires_s;
};

static trace_t trace_of(const char *path)
{
    struct stat status;
    trace_t trace;
    memset(&trace, 0, sizeof trace); /* traces are compared as bytes */
    if (stat(path, &status) != 0)
        return trace;
    trace.device = status.st_dev;
    trace.number = status.st_ino;
    trace.size = status.st_size;
    trace.changed = status.st_mtim;
    return trace;
}

static void look(const fw_tls_t *self, traces_t *ret_traces)
{
    memset(ret_traces, 0, sizeof *ret_traces);
    ret_traces->certificate = trace_of(self->certificate_path);
    ret_traces->key = trace_of(self->key_path);
}

static int refuse(char ret_reason[FW_TLS_REASON_SIZE], const char *path, const char *what)
{
    (void)snprintf(ret_reason, FW_TLS_REASON_SIZE, "%s: %s", path, what);
    ERR_clear_error();
    return -EINVAL;
}

/* Seconds since 1970, without the C library's time zones: several threads do this. */
static int64_t expires_s(const X509 *certificate)
{
    struct tm when;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when) != 1)
        return 0;
    /* Days of the proleptic Gregorian calendar, with years that begin in March. */
    int64_t year = when.tm_year + 1900 - (when.tm_mon < 2 ? 1 : 0);
    int64_t month = (when.tm_mon + 10) % 12;
    int64_t days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 +
                   when.tm_mday - 1 - 719468;
    return ((days * 24 + when.tm_hour) * 60 + when.tm_min) * 60 + when.tm_sec;
}

static BIO *open_file(const char *path, char ret_reason[FW_TLS_REASON_SIZE])
{
    struct stat status;
    if (stat(path, &status) != 0) {
        (void)refuse(ret_reason, path, errno == ENOENT ? "no such file" : "cannot be read");
        return NULL;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > FW_TLS_FILE_BYTES_MAX) {
        (void)refuse(ret_reason, path, "is not a file of at most 1 MiB");
        return NULL;
    }
    BIO *file = BIO_new_file(path, "r");
    if (!file)
        (void)refuse(ret_reason, path, "cannot be read");
    return file;
}

static int no_password(char *buffer, int size, int writes, void *context)
{
    (void)buffer;
    (void)size;
    (void)writes;
    (void)context;
    return -1; /* nobody is there to be asked */
}

static int read_certificate(const char *path, identity_t *identity,
                            char ret_reason[FW_TLS_REASON_SIZE])
{
    BIO *file = open_file(path, ret_reason);
    if (!file)
        return -EINVAL;
    identity->certificate = PEM_read_bio_X509_AUX(file, NULL, no_password, NULL);
    identity->chain = sk_X509_new_null();
    X509 *next = NULL;
    while (identity->certificate && sk_X509_num(identity->chain) < CHAIN_MAX &&
           (next = PEM_read_bio_X509(file, NULL, no_password, NULL)) != NULL)
        (void)sk_X509_push(identity->chain, next);
    unsigned long error = ERR_peek_last_error();
    bool ended = next == NULL && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    BIO_free(file);
    if (!identity->certificate)
        return refuse(ret_reason, path, "holds no certificate in PEM");
    if (!ended)
        return refuse(ret_reason, path, "holds a broken certificate, or too many");
    if (expires_s(identity->certificate) <= (int64_t)time(NULL))
        return refuse(ret_reason, path, "the certificate has expired");
    ERR_clear_error();
    return 0;
}

static int read_key(const char *path, identity_t *identity, char ret_reason[FW_TLS_REASON_SIZE])
{
    BIO *file = open_file(path, ret_reason);
    if (!file)
        return -EINVAL;
    identity->key = PEM_read_bio_PrivateKey(file, NULL, no_password, NULL);
    BIO_free(file);
    if (!identity->key)
        return refuse(ret_reason, path, "holds no key in PEM, or an encrypted one");
    if (X509_check_private_key(identity->certificate, identity->key) != 1)
        return refuse(ret_reason, path, "is not the key of the certificate");
    return 0;
}

static void forget(identity_t *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
    sk_X509_pop_free(identity->chain, X509_free);
    *identity = (identity_t){.certificate = NULL};
}

static int read_identity(const char *certificate_path, const char *key_path, identity_t *identity,
                         char ret_reason[FW_TLS_REASON_SIZE])
{
    *identity = (identity_t){.certificate = NULL};
    int result = read_certificate(certificate_path, identity, ret_reason);
    if (result == 0)
        result = read_key(key_path, identity, ret_reason);
    if (result != 0)
        forget(identity);
    return result;
}

int fw_tls_check(const char *certificate_path, const char *key_path,
                 char ret_reason[FW_TLS_REASON_SIZE])
{
    char path[] = "the certificate";
    identity_t identity;
    int result = read_identity(certificate_path, key_path, &identity, ret_reason);
    if (result != 0)
        return result;
    /* What OpenSSL itself would refuse, such as a key that is too short. */
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_use_cert_and_key(context, identity.certificate, identity.key,
                                             identity.chain, 1) != 1)
        result = refuse(ret_reason, path, "is refused by OpenSSL");
    SSL_CTX_free(context);
    forget(&identity);
    return result;
}

fw_tls_t *fw_tls_new(const char *certificate_path, const char *key_path)
{
    fw_tls_t *self = fw_alloc(1, sizeof *self);
    self->certificate_path = certificate_path;
    self->key_path = key_path;
    return self;
}

void fw_tls_destroy(fw_tls_t **self_p)
{
    fw_tls_t *self = *self_p;
    if (!self)
        return;
    SSL_CTX_free(self->unused);
    free(self);
    *self_p = NULL;
}

void *fw_tls_unused(fw_tls_t *self)
{
    if (!self->unused)
        self->unused = SSL_CTX_new(TLS_client_method());
    return self->unused;
}

int fw_tls_reload(fw_tls_t *self, char ret_reason[FW_TLS_REASON_SIZE])
{
    identity_t identity;
    look(self, &self->read);
    self->seen = self->read;
    int result = fw_tls_check(self->certificate_path, self->key_path, ret_reason);
    if (result == 0)
        result = read_identity(self->certificate_path, self->key_path, &identity, ret_reason);
    if (result != 0)
        return result;
    if (SSL_CTX_use_cert_and_key(self->context, identity.certificate, identity.key, identity.chain,
                                 1) != 1)
        result = refuse(ret_reason, self->certificate_path, "is refused by OpenSSL");
    else
        self->expires_s = expires_s(identity.certificate);
    forget(&identity);
    return result;
}

int fw_tls_attach(fw_tls_t *self, void *ssl_ctx, char ret_reason[FW_TLS_REASON_SIZE])
{
    self->context = ssl_ctx;
    if (SSL_CTX_set_min_proto_version(self->context, TLS1_2_VERSION) != 1)
        return refuse(ret_reason, self->certificate_path, "TLS 1.2 cannot be had");
    (void)SSL_CTX_set_options(self->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* 34 KiB less for each session that is silent. */
    (void)SSL_CTX_set_mode(self->context, SSL_MODE_RELEASE_BUFFERS);
    return fw_tls_reload(self, ret_reason);
}

bool fw_tls_changed(fw_tls_t *self)
{
    traces_t now;
    look(self, &now);
    bool settled = memcmp(&now, &self->seen, sizeof now) == 0;
    self->seen = now;
    return settled && memcmp(&now, &self->read, sizeof now) != 0;
}

int64_t fw_tls_expires_s(const fw_tls_t *self)
{
    return self->expires_s;
}
