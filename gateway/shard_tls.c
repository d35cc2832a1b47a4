/* shard_tls.c - see shard_tls.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/shard_tls.h"

#include "gateway/shard_internal.h"
#include "gateway/tls.h"
#include "gateway/tls_read.h"

void fw_shard_tls_open(fw_shard_t *self, struct lws_context_creation_info *info)
{
    if (!*self->config->tls_certificate)
        return;
    fw_tls_read_link();
    self->tls = fw_tls_new(self->config->tls_certificate, self->config->tls_key);
    /* Without a file given to the library: it asks us to set its SSL_CTX up. */
    info->options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;
    /* Else it makes one for clients, with every authority that the machine knows: a megabyte for
     * each shard, which it does not give back when there are several. */
    info->provided_client_ssl_ctx = fw_tls_unused(self->tls);
}

/* All shards read the same files: one of them speaks. */
static void report(fw_shard_t *self, int result, const char *reason)
{
    if (self->args->number != 0)
        return;
    fw_counter_add(
        result == 0 ? self->metrics.certificates_loaded : self->metrics.certificates_refused, 1);
    fw_gauge_set(self->metrics.certificate_expires, fw_tls_expires_s(self->tls));
    if (result == 0)
        fw_log(FW_LOG_INFO, "certificate was loaded",
               FW_KV_TEXT("file", self->config->tls_certificate),
               FW_KV_INT("days_left",
                         (fw_tls_expires_s(self->tls) - fw_shard_wall_s()) / (24 * 60 * 60)));
    else
        fw_log(FW_LOG_ERROR, "certificate is refused, keeping the old one",
               FW_KV_TEXT("reason", reason));
}

int fw_shard_tls_attach(fw_shard_t *self, void *ssl_ctx)
{
    char reason[FW_TLS_REASON_SIZE] = "";
    if (!self->tls)
        return 0;
    int result = fw_tls_attach(self->tls, ssl_ctx, reason);
    report(self, result, reason);
    return result == 0 ? 0 : -1;
}

void fw_shard_tls_reload(fw_shard_t *self)
{
    char reason[FW_TLS_REASON_SIZE] = "";
    if (!self->tls)
        return;
    int result = fw_tls_reload(self->tls, reason);
    report(self, result, reason);
}

void fw_shard_tls_tick(fw_shard_t *self)
{
    if (self->tls && fw_tls_changed(self->tls))
        fw_shard_tls_reload(self);
}

void fw_shard_tls_close(fw_shard_t *self)
{
    fw_tls_destroy(&self->tls);
}
