/* ack_json.c - what became of a published event, as one JSON line.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "cli/ack_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

static const char *status_of(int error, const fw_publish_ack_t *ack)
{
    if (!ack) {
        return error == -ETIMEDOUT ? "timeout" : "canceled";
    }
    switch (ack->status) {
    case FW_PUBLISH_OK:
        return "ok";
    case FW_PUBLISH_DUPLICATE:
        return "duplicate";
    case FW_PUBLISH_REJECTED:
        return "rejected";
    case FW_PUBLISH_RETRY:
    case FW_PUBLISH_OVERLOAD:
        break;
    }
    return "postponed";
}

static json_t *positions_of(const fw_publish_ack_t *ack)
{
    json_t *positions = json_array();
    for (size_t i = 0; i < ack->positions_count; i++) {
        const fw_channel_position_t *at = &ack->positions[i];
        char epoch[FW_EPOCH_TEXT_SIZE_MAX + 1];
        char offset[FW_OFFSET_TEXT_SIZE_MAX + 1];
        (void)fw_epoch_format(at->position.epoch, epoch);
        (void)snprintf(offset, sizeof offset, "%" PRIu64, at->position.offset);
        (void)json_array_append_new(positions,
                                    json_pack("{s:s%, s:s, s:s}", "channel", at->channel.text,
                                              at->channel.size, "epoch", epoch, "offset", offset));
    }
    return positions;
}

static void add_outcome(json_t *object, const fw_publish_ack_t *ack)
{
    (void)json_object_set_new(object, "id", json_stringn(ack->id.text, ack->id.size));
    if (ack->status == FW_PUBLISH_REJECTED) {
        (void)json_object_set_new(object, "field", json_string(ack->refusal.field));
        (void)json_object_set_new(object, "reason", json_string(ack->refusal.reason));
        if (ack->refusal.limit != 0 || ack->refusal.value != 0) {
            (void)json_object_set_new(object, "limit",
                                      json_integer((json_int_t)ack->refusal.limit));
            (void)json_object_set_new(object, "value",
                                      json_integer((json_int_t)ack->refusal.value));
        }
        return;
    }
    char fresh[FW_OFFSET_TEXT_SIZE_MAX + 1];
    (void)snprintf(fresh, sizeof fresh, "%" PRIu64, ack->fresh);
    (void)json_object_set_new(object, "positions", positions_of(ack));
    (void)json_object_set_new(object, "duplicate",
                              json_boolean(ack->status == FW_PUBLISH_DUPLICATE));
    (void)json_object_set_new(object, "unconfirmed", json_boolean(ack->unconfirmed));
    (void)json_object_set_new(object, "fresh", json_string(fresh));
}

char *fw_ack_json(int error, const fw_publish_ack_t *ack)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "status", json_string(status_of(error, ack)));
    if (ack) {
        add_outcome(object, ack);
    }
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}
