/* token_rules.c - see token_rules.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/token_rules.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/alloc.h"

/* One text that holds keys. */
typedef struct {
    enum { SECRET, PEM, JWKS } kind;
    uint8_t *bytes;
    size_t size;
} source_t;

struct fw_token_rules {
    source_t *sources;
    size_t sources_count;
    size_t keys;
    char **audiences;
    size_t audiences_count;
    char **issuers;
    size_t issuers_count;
    int64_t leeway_ms;
    int64_t grace_ms;
    bool awaits;
    char *cookie;
};

static int complain(int result, const char *option, const char *what, const char *reason,
                    char *ret_reason, size_t reason_size)
{
    (void)snprintf(ret_reason, reason_size, "%s: %s%s%s", option, what, *what ? " " : "", reason);
    return result;
}

static source_t *add_source(fw_token_rules_t *self, const void *bytes, size_t size)
{
    self->sources = fw_realloc(self->sources, self->sources_count + 1, sizeof *self->sources);
    source_t *source = &self->sources[self->sources_count++];
    *source = (source_t){.bytes = fw_alloc(size + 1, 1), .size = size};
    memcpy(source->bytes, bytes, size);
    return source;
}

/* The size of a file's content in buffer, or a negative errno. */
static ssize_t read_file(const char *path, uint8_t *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    size_t used = 0;
    ssize_t got = 1;
    while (used < size && got > 0) {
        got = read(fd, buffer + used, size - used);
        if (got > 0)
            used += (size_t)got;
        else if (got < 0 && errno == EINTR)
            got = 1;
    }
    int error = got < 0 ? -errno : 0;
    (void)close(fd);
    if (error != 0)
        return error;
    return used == size ? -EFBIG : (ssize_t)used;
}

static bool is_pem(const char *text, size_t size)
{
    static const char begin[] = "-----BEGIN ";
    return size >= sizeof begin - 1 && memmem(text, size, begin, sizeof begin - 1);
}

/* A public key or a key set: what it is, it says itself, and a secret it never is. */
static int add_public(fw_token_rules_t *self, const char *item, char *ret_reason,
                      size_t reason_size)
{
    if (is_pem(item, strlen(item))) {
        add_source(self, item, strlen(item))->kind = PEM;
        return 0;
    }
    size_t room = FW_KEY_SET_SIZE_MAX + 1;
    uint8_t *content = fw_alloc(room, 1);
    ssize_t size = read_file(item, content, room);
    int result = size < 0 ? (int)size : 0;
    if (result == 0) {
        bool pem = is_pem((const char *)content, (size_t)size);
        add_source(self, content, (size_t)size)->kind = pem ? PEM : JWKS;
    }
    explicit_bzero(content, room);
    free(content);
    if (result != 0)
        return complain(result, "gateway.jwt.keys", item, strerror(-result), ret_reason,
                        reason_size);
    return 0;
}

static int add_keys(const source_t *source, fw_keys_t *keys, const char **ret_reason)
{
    size_t skipped = 0;
    switch (source->kind) {
    case SECRET:
        return fw_keys_add_secret(keys, FW_TEXT_NONE, (fw_bytes_t){source->bytes, source->size},
                                  ret_reason);
    case PEM:
        return fw_keys_add_pem(keys, (fw_text_t){(const char *)source->bytes, source->size},
                               ret_reason);
    case JWKS:
        return fw_keys_add_jwks(keys, (fw_bytes_t){source->bytes, source->size}, true, &skipped,
                                ret_reason);
    }
    return -EINVAL;
}

/* What the configuration calls a source: the secrets come first, then the keys, in its order. */
static const char *name_of(const fw_tokens_config_t *config, const source_t *source, size_t number,
                           const char **ret_item)
{
    size_t secrets = (*config->secret ? 1U : 0U) + (*config->previous_secret ? 1U : 0U);
    *ret_item = "";
    if (source->kind == SECRET)
        return *config->secret && number == 0 ? "gateway.jwt.secret"
                                              : "gateway.jwt.previous_secret";
    const char *item = config->keys[number - secrets];
    *ret_item = is_pem(item, strlen(item)) ? "a PEM text" : item;
    return "gateway.jwt.keys";
}

/* Every source makes keys, and all of them fit. */
static int check_sources(fw_token_rules_t *self, const fw_tokens_config_t *config, char *ret_reason,
                         size_t reason_size)
{
    fw_keys_t *keys = fw_keys_new();
    int result = 0;
    for (size_t i = 0; i < self->sources_count && result == 0; i++) {
        const char *reason = "";
        const char *item = "";
        result = add_keys(&self->sources[i], keys, &reason);
        const char *option = name_of(config, &self->sources[i], i, &item);
        if (result != 0)
            (void)complain(result, option, item, reason, ret_reason, reason_size);
    }
    self->keys = fw_keys_count(keys);
    fw_keys_destroy(&keys);
    return result;
}

static char **copy_list(const char *const *texts, size_t count)
{
    char **copies = fw_alloc(count + 1, sizeof *copies);
    for (size_t i = 0; i < count; i++)
        copies[i] = fw_copy_text(texts[i], strlen(texts[i]));
    return copies;
}

static void free_list(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

int fw_token_rules_new(const fw_tokens_config_t *config, fw_token_rules_t **ret_rules,
                       char *ret_reason, size_t reason_size)
{
    fw_token_rules_t *self = fw_alloc(1, sizeof *self);
    int result = 0;
    self->audiences = copy_list(config->audiences, config->audiences_count);
    self->audiences_count = config->audiences_count;
    self->issuers = copy_list(config->issuers, config->issuers_count);
    self->issuers_count = config->issuers_count;
    self->leeway_ms = config->leeway_ms;
    self->grace_ms = config->grace_ms;
    self->awaits = *config->jwks_url != '\0';
    self->cookie = fw_copy_text(config->cookie, strlen(config->cookie));
    if (*config->secret)
        add_source(self, config->secret, strlen(config->secret))->kind = SECRET;
    if (*config->previous_secret)
        add_source(self, config->previous_secret, strlen(config->previous_secret))->kind = SECRET;
    for (size_t i = 0; i < config->keys_count && result == 0; i++)
        result = add_public(self, config->keys[i], ret_reason, reason_size);
    if (result == 0)
        result = check_sources(self, config, ret_reason, reason_size);
    if (result != 0)
        fw_token_rules_destroy(&self);
    *ret_rules = self;
    return result;
}

void fw_token_rules_destroy(fw_token_rules_t **self_p)
{
    fw_token_rules_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->sources_count; i++) {
        explicit_bzero(self->sources[i].bytes, self->sources[i].size);
        free(self->sources[i].bytes);
    }
    free(self->sources);
    free_list(self->audiences, self->audiences_count);
    free_list(self->issuers, self->issuers_count);
    free(self->cookie);
    free(self);
    *self_p = NULL;
}

void fw_token_rules_apply(const fw_token_rules_t *self, fw_auth_t *auth)
{
    fw_keys_t *keys = fw_keys_new();
    for (size_t i = 0; i < self->sources_count; i++) {
        const char *reason = "";
        int result = add_keys(&self->sources[i], keys, &reason);
        assert(result == 0); /* it was tried when the rules were made */
        (void)result;
    }
    fw_auth_policy_t policy = {
        .audiences = (const char *const *)self->audiences,
        .audiences_count = self->audiences_count,
        .issuers = (const char *const *)self->issuers,
        .issuers_count = self->issuers_count,
        .leeway_s = self->leeway_ms / 1000,
        .awaits = self->awaits,
    };
    fw_auth_set_policy(auth, &policy);
    fw_auth_set_fixed(auth, &keys);
}

size_t fw_token_rules_keys(const fw_token_rules_t *self)
{
    return self->keys;
}

int64_t fw_token_rules_leeway_ms(const fw_token_rules_t *self)
{
    return self->leeway_ms;
}

int64_t fw_token_rules_grace_ms(const fw_token_rules_t *self)
{
    return self->grace_ms;
}

const char *fw_token_rules_cookie(const fw_token_rules_t *self)
{
    return self->cookie;
}
