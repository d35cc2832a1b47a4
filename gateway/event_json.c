/* event_json.c - see event_json.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/event_json.h"

static void literal(fw_json_t *json, const char *text)
{
    fw_json_raw(json, text, strlen(text));
}

static void payload(fw_json_t *json, const fw_payload_t *data)
{
    bool room = json->needed < json->size;
    json->needed += fw_codec_payload_json(data, room ? json->buffer + json->needed : NULL,
                                          room ? json->size - json->needed : 0);
}

/* Who caused it; client: the gateway vouches for it. */
static void author(fw_json_t *json, const fw_publication_t *publication)
{
    if (publication->origin.size > 0) {
        literal(json, ",\"origin\":");
        fw_json_string(json, publication->origin);
    }
    if (publication->user_id.size > 0) {
        literal(json, ",\"user_id\":");
        fw_json_string(json, publication->user_id);
    }
    if (publication->client)
        literal(json, ",\"client\":true");
}

void fw_event_json(fw_json_t *json, const fw_delivery_t *delivery,
                   const fw_publication_t *publication)
{
    fw_text_t type = publication->type.size > 0 ? publication->type : publication->data.type;
    char epoch[FW_EPOCH_TEXT_SIZE_MAX + 1];
    size_t epoch_size = fw_epoch_format(delivery->position.epoch, epoch);
    literal(json, "{\"type\":");
    fw_json_string(json, type);
    literal(json, ",\"data\":");
    payload(json, &publication->data);
    literal(json, ",\"channel\":");
    fw_json_string(json, delivery->channel);
    literal(json, ",\"offset\":");
    fw_json_quoted_number(json, delivery->position.offset);
    literal(json, ",\"epoch\":");
    fw_json_string(json, (fw_text_t){epoch, epoch_size});
    literal(json, ",\"id\":");
    fw_json_string(json, publication->id);
    literal(json, ",\"ts\":");
    fw_json_number(json, publication->ts);
    literal(json, ",\"fresh\":");
    fw_json_quoted_number(json, delivery->fresh);
    literal(json, delivery->unconfirmed ? ",\"unconfirmed\":true" : ",\"unconfirmed\":false");
    literal(json, ",\"spread_ms\":");
    fw_json_number(json, delivery->spread_ms);
    author(json, publication);
    literal(json, "}");
}

void fw_event_json_note(fw_json_t *json, fw_text_t channel, const fw_publication_t *publication)
{
    literal(json, "{\"type\":");
    fw_json_string(json, publication->type);
    literal(json, ",\"data\":");
    payload(json, &publication->data);
    literal(json, ",\"channel\":");
    fw_json_string(json, channel);
    literal(json, ",\"ts\":");
    fw_json_number(json, publication->ts);
    author(json, publication);
    literal(json, ",\"ephemeral\":true}");
}
