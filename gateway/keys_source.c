/* keys_source.c - keys from PEM texts and JSON Web Key Sets; see keys.h.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/x509.h>
#include <jansson.h>
#include <rhonabwy.h>

#include "gateway/base64url.h"
#include "gateway/json_scan.h"
#include "gateway/keys_internal.h"
#include "runtime/alloc.h"

enum {
    SET_DEPTH_MAX = 8,
    SET_KEYS_MAX = 256, /* looked at, good or not */
};

static int refuse(const char *reason, const char **ret_reason)
{
    *ret_reason = reason;
    return -EINVAL;
}

/* ------ PEM */

typedef struct {
    fw_text_t label; /* "PUBLIC KEY" */
    fw_text_t whole; /* with both its lines */
} block_t;

static const char *find(fw_text_t text, const char *what)
{
    return text.size > 0 ? memmem(text.text, text.size, what, strlen(what)) : NULL;
}

/* The next block of *rest, which moves behind it. -ENOENT: there is none; -EINVAL: it has no end.
 */
static int next_block(fw_text_t *rest, block_t *ret_block)
{
    static const char begin[] = "-----BEGIN ";
    static const char dashes[] = "-----";
    const char *start = find(*rest, begin);
    if (!start)
        return -ENOENT;
    const char *end = rest->text + rest->size;
    fw_text_t behind = {start + sizeof begin - 1, (size_t)(end - start) - (sizeof begin - 1)};
    const char *label_end = find(behind, dashes);
    if (!label_end)
        return -EINVAL;
    ret_block->label = (fw_text_t){behind.text, (size_t)(label_end - behind.text)};
    fw_text_t body = {label_end, (size_t)(end - label_end)};
    const char *closing = find(body, "-----END ");
    if (!closing)
        return -EINVAL;
    fw_text_t tail = {closing + sizeof "-----END " - 1,
                      (size_t)(end - closing) - (sizeof "-----END " - 1)};
    const char *last = find(tail, dashes);
    if (!last)
        return -EINVAL;
    last += sizeof dashes - 1;
    ret_block->whole = (fw_text_t){start, (size_t)(last - start)};
    *rest = (fw_text_t){last, (size_t)(end - last)};
    return 0;
}

static gnutls_datum_t datum(char *copy, size_t size)
{
    return (gnutls_datum_t){(unsigned char *)copy, (unsigned)size};
}

static int import_certificate(gnutls_pubkey_t public, const gnutls_datum_t *pem)
{
    gnutls_x509_crt_t certificate = NULL;
    int result = gnutls_x509_crt_init(&certificate);
    if (result == 0)
        result = gnutls_x509_crt_import(certificate, pem, GNUTLS_X509_FMT_PEM);
    if (result == 0)
        result = gnutls_pubkey_import_x509(public, certificate, 0);
    gnutls_x509_crt_deinit(certificate);
    return result;
}

static int add_block(fw_keys_t *self, const block_t *block, const char **ret_reason)
{
    if (find(block->label, "PRIVATE"))
        return refuse("holds a private key, which belongs to who signs tokens and nowhere else",
                      ret_reason);
    bool certificate = fw_text_equal(block->label, FW_TEXT("CERTIFICATE"));
    if (!certificate && !fw_text_equal(block->label, FW_TEXT("PUBLIC KEY")) &&
        !fw_text_equal(block->label, FW_TEXT("RSA PUBLIC KEY")))
        return refuse("holds what is no public key and no certificate", ret_reason);
    gnutls_pubkey_t public = NULL;
    char *copy = fw_copy_text(block->whole.text, block->whole.size);
    gnutls_datum_t pem = datum(copy, block->whole.size);
    int result = gnutls_pubkey_init(&public);
    if (result == 0)
        result = certificate ? import_certificate(public, &pem)
                             : gnutls_pubkey_import(public, &pem, GNUTLS_X509_FMT_PEM);
    if (result == 0)
        result = fw_keys_add_public(self, FW_TEXT_NONE, &public);
    gnutls_pubkey_deinit(public);
    free(copy);
    if (result == -ENOSPC)
        return refuse("holds too many keys", ret_reason);
    return result == 0 ? 0
                       : refuse("holds a key that is not RSA of 2048 bits or more, P-256 or "
                                "Ed25519",
                                ret_reason);
}

int fw_keys_add_pem(fw_keys_t *self, fw_text_t pem, const char **ret_reason)
{
    size_t before = self ? fw_keys_count(self) : 0;
    block_t block;
    int result;
    if (pem.size > FW_KEY_SET_SIZE_MAX)
        return refuse("is too large", ret_reason);
    while ((result = next_block(&pem, &block)) == 0) {
        result = add_block(self, &block, ret_reason);
        if (result != 0)
            return result;
    }
    if (result == -EINVAL)
        return refuse("is cut off in the middle of a key", ret_reason);
    return fw_keys_count(self) > before ? 0 : refuse("holds no key in PEM", ret_reason);
}

/* ------ JSON Web Keys */

static bool member_is(const json_t *key, const char *name, const char *value)
{
    const char *text = json_string_value(json_object_get(key, name));
    return text && strcmp(text, value) == 0;
}

/* An optional member says what we need, or nothing. */
static bool agrees(const json_t *key, const char *name, const char *value)
{
    return !json_object_get(key, name) || member_is(key, name, value);
}

static bool may_verify(const json_t *key)
{
    const json_t *operations = json_object_get(key, "key_ops");
    bool may = !operations;
    for (size_t i = 0; i < json_array_size(operations); i++) {
        const char *operation = json_string_value(json_array_get(operations, i));
        may = may || (operation && strcmp(operation, "verify") == 0);
    }
    return may && agrees(key, "use", "sig");
}

typedef struct {
    const char *type;
    const char *curve; /* NULL = has none */
    const char *algorithm;
    const char *parts[2]; /* what makes the key public */
} kind_t;

static const kind_t kinds[] = {
    {"RSA", NULL, "RS256", {"n", "e"}},
    {"EC", "P-256", "ES256", {"x", "y"}},
    {"OKP", "Ed25519", "EdDSA", {"x", NULL}},
};

/* Only what makes the key: no certificates, no addresses of them, nothing private. */
static json_t *reduced(const json_t *key, const kind_t *kind)
{
    json_t *result = json_pack("{s:s}", "kty", kind->type);
    if (kind->curve && json_object_set_new(result, "crv", json_string(kind->curve)) != 0)
        goto failed;
    for (size_t i = 0; i < 2 && kind->parts[i]; i++) {
        json_t *part = json_object_get(key, kind->parts[i]);
        if (!json_is_string(part) || json_object_set(result, kind->parts[i], part) != 0)
            goto failed;
    }
    return result;
failed:
    json_decref(result);
    return NULL;
}

static gnutls_pubkey_t import_key(const json_t *key, const kind_t *kind)
{
    jwk_t *jwk = NULL;
    gnutls_pubkey_t public = NULL;
    json_t *json = reduced(key, kind);
    if (json && r_jwk_init(&jwk) == RHN_OK && r_jwk_import_from_json_t(jwk, json) == RHN_OK)
    public = r_jwk_export_to_gnutls_pubkey(jwk, R_FLAG_IGNORE_REMOTE);
    r_jwk_free(jwk);
    json_decref(json);
    return public;
}

/* 0; -ENOTSUP: the key is not for us; -ENOSPC: too many. */
static int add_public(fw_keys_t *self, const json_t *key, fw_text_t id)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const kind_t *kind = &kinds[i];
        if (!member_is(key, "kty", kind->type) || !agrees(key, "alg", kind->algorithm) ||
            (kind->curve && !member_is(key, "crv", kind->curve)) || json_object_get(key, "d"))
            continue;
        gnutls_pubkey_t public = import_key(key, kind);
        if (!public)
            return -ENOTSUP;
        int result = fw_keys_add_public(self, id, &public);
        gnutls_pubkey_deinit(public);
        return result == -EINVAL ? -ENOTSUP : result;
    }
    return -ENOTSUP;
}

static int add_symmetric(fw_keys_t *self, const json_t *key, fw_text_t id)
{
    uint8_t secret[FW_KEY_SECRET_SIZE_MAX];
    size_t size = 0;
    const char *reason = "";
    const json_t *text = json_object_get(key, "k");
    if (!json_is_string(text) || !agrees(key, "alg", "HS256") ||
        fw_base64url_decode((fw_text_t){json_string_value(text), json_string_length(text)}, secret,
                            sizeof secret, &size) != 0)
        return -ENOTSUP;
    bool full = fw_keys_count(self) == FW_KEYS_MAX;
    int result = full ? -ENOSPC : fw_keys_add_secret(self, id, (fw_bytes_t){secret, size}, &reason);
    explicit_bzero(secret, sizeof secret);
    return result == -EINVAL ? -ENOTSUP : result;
}

static int add_key(fw_keys_t *self, const json_t *key, bool secrets)
{
    const json_t *id = json_object_get(key, "kid");
    fw_text_t name = FW_TEXT_NONE;
    if (!json_is_object(key) || (id && !json_is_string(id)) ||
        json_string_length(id) > FW_KEY_ID_SIZE_MAX || !may_verify(key))
        return -ENOTSUP;
    if (id)
        name = (fw_text_t){json_string_value(id), json_string_length(id)};
    if (member_is(key, "kty", "oct"))
        return secrets ? add_symmetric(self, key, name) : -ENOTSUP;
    return add_public(self, key, name);
}

static int add_set(fw_keys_t *self, const json_t *set, bool secrets, size_t *ret_skipped,
                   const char **ret_reason)
{
    const json_t *keys = json_object_get(set, "keys");
    size_t before = fw_keys_count(self);
    size_t skipped = 0;
    size_t count = json_array_size(keys);
    bool single = !keys && json_object_get(set, "kty");
    if (!single && !json_is_array(keys))
        return refuse("is not a JSON Web Key Set", ret_reason);
    if (count > SET_KEYS_MAX)
        return refuse("holds too many keys", ret_reason);
    for (size_t i = 0; i < (single ? 1 : count); i++) {
        int result = add_key(self, single ? set : json_array_get(keys, i), secrets);
        if (result == -ENOSPC)
            return refuse("holds too many keys", ret_reason);
        if (result != 0)
            skipped++;
    }
    *ret_skipped = skipped;
    return fw_keys_count(self) > before ? 0 : refuse("holds no key that can be used", ret_reason);
}

int fw_keys_add_jwks(fw_keys_t *self, fw_bytes_t json, bool secrets, size_t *ret_skipped,
                     const char **ret_reason)
{
    json_error_t error;
    if (json.size > FW_KEY_SET_SIZE_MAX)
        return refuse("is too large", ret_reason);
    if (fw_json_depth(json) > SET_DEPTH_MAX)
        return refuse("is nested too deeply", ret_reason);
    json_t *set = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(set)) {
        json_decref(set);
        return refuse("is not a JSON Web Key Set", ret_reason);
    }
    int result = add_set(self, set, secrets, ret_skipped, ret_reason);
    json_decref(set);
    return result;
}
