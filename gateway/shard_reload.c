/* shard_reload.c - a shard takes over another configuration.   SPDX-License-Identifier: MPL-2.0
 * What is asked for when it is needed is in force at once; what was handed on is handed on again
 * here. Sessions stay as they are: a limit that is lower now holds for what comes. */
#include "gateway/shard_auth.h"
#include "gateway/shard_internal.h"
#include "gateway/shard_rooms.h"

void fw_shard_reload(fw_shard_t *self)
{
    const fw_policy_t *old = self->policy;
    self->policy = fw_shared_take(self->args->policies);
    self->config = &self->policy->config;
    fw_shard_auth_rules(self, self->policy->token_rules);
    self->dialogue.anonymous = self->config->anonymous;
    self->dialogue.channels_max = self->config->channels_per_session_max;
    self->dialogue.resume_max = self->config->channels_per_session_max;
    fw_hub_set_told(self->hub, (uint32_t)self->config->ping_ms, self->config->reconnect_window_ms,
                    self->degraded);
    fw_shard_rooms_reload(self);
    fw_shared_give_back(self->args->policies, old);
}
