/* room_json.h - who is in a room, as the JSON objects that browsers receive.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. As in server_message.h. */
#pragma once

#include "gateway/roster.h"
#include "proto/json_text.h"

enum { FW_ROOM_PART_MAX = 256 /* members in one message */ };

/* Number of messages that a list takes. */
size_t fw_room_json_parts(const fw_roster_list_t *list);
/* One of them: the first has the members, those that follow have them as joins, all but the last
 * say that there is more. */
void fw_room_json_part(fw_json_t *json, fw_text_t channel, const fw_roster_list_t *list,
                       size_t part);
void fw_room_json_changes(fw_json_t *json, fw_text_t channel, const fw_roster_change_t *changes,
                          size_t count);
/* Only the number of users. */
void fw_room_json_count(fw_json_t *json, fw_text_t channel, uint64_t count);
