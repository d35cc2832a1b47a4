/* event_json.h - a released event as the JSON object that browsers receive.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. type and data come first, so that the naive JSON.parse(text).type works and logs read well.
 */
#pragma once

#include "proto/codec.h"
#include "proto/json_text.h"

/* Appends the object. A JSON payload is spliced with spaces for line breaks: the broker has checked
 * it. */
void fw_event_json(fw_json_t *json, const fw_delivery_t *delivery,
                   const fw_publication_t *publication);
/* The same for an event of a client that nobody keeps: it has no place. */
void fw_event_json_note(fw_json_t *json, fw_text_t channel, const fw_publication_t *publication);
