/* policy.c - see policy.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/policy.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"

static const char *const *copy_list(char ***ret_copy, const char *const *texts, size_t count)
{
    *ret_copy = fw_alloc(count + 1, sizeof **ret_copy);
    for (size_t i = 0; i < count; i++)
        (*ret_copy)[i] = fw_copy_text(texts[i], strlen(texts[i]));
    return (const char *const *)*ret_copy;
}

/* One that may hold secrets: overwritten first. */
static void free_list(char **texts)
{
    for (size_t i = 0; texts && texts[i]; i++) {
        explicit_bzero(texts[i], strlen(texts[i]));
        free(texts[i]);
    }
    free(texts);
}

static void take_numbers(fw_gateway_config_t *config, const fw_gateway_config_t *fresh)
{
    config->anonymous = fresh->anonymous;
    config->channels_per_session_max = fresh->channels_per_session_max;
    config->message_bytes_max = fresh->message_bytes_max;
    config->control_bytes_max = fresh->control_bytes_max;
    config->hello_ms = fresh->hello_ms;
    config->ping_ms = fresh->ping_ms;
    config->pong_ms = fresh->pong_ms;
    config->drain_delay_ms = fresh->drain_delay_ms;
    config->drain_window_ms = fresh->drain_window_ms;
    config->reconnect_window_ms = fresh->reconnect_window_ms;
    config->reconnects_per_second = fresh->reconnects_per_second;
    config->connection_age_max_ms = fresh->connection_age_max_ms;
    config->accepts_per_second = fresh->accepts_per_second;
    config->half_open_max = fresh->half_open_max;
    config->sessions_per_user_max = fresh->sessions_per_user_max;
    config->sessions_per_address_max = fresh->sessions_per_address_max;
    config->request_ms = fresh->request_ms;
    config->body_ms = fresh->body_ms;
    config->client_publish_per_second = fresh->client_publish_per_second;
    config->client_publish_bytes_max = fresh->client_publish_bytes_max;
    config->client_publish_keep = fresh->client_publish_keep;
}

int fw_policy_new(const fw_gateway_config_t *start, const fw_gateway_config_t *fresh,
                  fw_policy_t **ret_policy, char *ret_reason, size_t reason_size)
{
    fw_policy_t *self = fw_alloc(1, sizeof *self);
    fw_gateway_config_t *config = &self->config;
    /* Who fetches a key set was started with its address. */
    fw_tokens_config_t tokens = fresh->tokens;
    tokens.jwks_url = start->tokens.jwks_url;
    int result = fw_token_rules_new(&tokens, &self->token_rules, ret_reason, reason_size);
    if (result != 0) {
        free(self);
        return result;
    }
    *config = *start;
    take_numbers(config, fresh);
    config->origins = copy_list(&self->lists[0], fresh->origins, fresh->origins_count);
    config->origins_count = fresh->origins_count;
    config->publish_keys =
        copy_list(&self->lists[1], fresh->publish_keys, fresh->publish_keys_count);
    config->publish_keys_count = fresh->publish_keys_count;
    config->client_publish_types =
        copy_list(&self->lists[2], fresh->client_publish_types, fresh->client_publish_types_count);
    config->client_publish_types_count = fresh->client_publish_types_count;
    *ret_policy = self;
    return 0;
}

void fw_policy_destroy(void *policy)
{
    fw_policy_t *self = policy;
    fw_token_rules_destroy(&self->token_rules);
    for (size_t i = 0; i < sizeof self->lists / sizeof *self->lists; i++)
        free_list(self->lists[i]);
    free(self);
}
