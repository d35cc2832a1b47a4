/* fire.c - what the fire-and-forget link lost is asked for, and told when it cannot be had.
 * SPDX-License-Identifier: MPL-2.0 */
#include "broker/broker_loop.h"

enum { PUBLISHERS_MAX = 65536 };

/* Goes to every publisher; the one whose incarnation it is answers. */
static void ask(void *context, const fw_fire_missing_t *missing)
{
    fw_broker_loop_t *self = context;
    if (!self->fire)
        return;
    fw_message_t message = {.kind = FW_MESSAGE_FIRE_MISSING, .fire_missing = *missing};
    fw_bytes_t frame = fw_codec_encode(self->encoder, FW_LINK_PUBLISHER_DOWN, &message);
    if (fw_socket_send(self->fire, frame) < 0)
        fw_counter_add(self->metrics.send_dropped, 1);
}

static void on_lost(void *context, fw_text_t user, uint64_t count)
{
    fw_broker_loop_t *self = context;
    size_t patterns_count = 0;
    const fw_text_t *patterns = fw_permissions_channels(
        self->guard ? fw_keyguard_holder(self->guard, user) : NULL, &patterns_count);
    fw_log(FW_LOG_WARN,
           self->config.fire_reset
               ? "fire-and-forget events were lost: flushing the cache and resetting channels"
               : "fire-and-forget events were lost; broker.fire_loss=count says to go on",
           FW_KV_UINT("events", count));
    if (self->config.fire_reset)
        fw_core_lost(self->core, patterns, patterns_count, self->now_us);
}

void fw_broker_fire_begin(fw_broker_loop_t *self)
{
    fw_fire_gaps_options_t options = {.publishers_max = PUBLISHERS_MAX,
                                      .repair_us = self->config.fire_repair_ms * 1000};
    fw_fire_gaps_output_t output = {self, ask, on_lost};
    self->fire_gaps = fw_fire_gaps_new(&options, &output);
}

bool fw_broker_fire_is_new(fw_broker_loop_t *self, const fw_publish_t *publish, fw_text_t user)
{
    if (publish->sequence == 0 || publish->incarnation.size != FW_INCARNATION_SIZE)
        return true; /* it does not count */
    return fw_fire_gaps_event(self->fire_gaps, publish->incarnation, publish->sequence, user,
                              self->now_us) != FW_FIRE_REPEATED;
}

static void raise_to(fw_counter_t *counter, uint64_t value)
{
    fw_counter_add(counter, value - fw_counter_value(counter));
}

void fw_broker_fire_show(fw_broker_loop_t *self)
{
    fw_fire_gaps_stats_t stats;
    fw_fire_gaps_stats(self->fire_gaps, &stats);
    raise_to(self->metrics.fire_repaired, stats.repaired);
    raise_to(self->metrics.fire_lost, stats.lost);
    raise_to(self->metrics.fire_repeated, stats.repeated);
    fw_gauge_set(self->metrics.fire_missing, (int64_t)stats.missing);
}
