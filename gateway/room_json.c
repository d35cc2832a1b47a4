/* room_json.c - see room_json.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/room_json.h"

static void literal(fw_json_t *json, const char *text)
{
    fw_json_raw(json, text, strlen(text));
}

static void begin(fw_json_t *json, fw_text_t channel)
{
    literal(json, "{\"type\":\"fw.presence\",\"channel\":");
    fw_json_string(json, channel);
}

static void member(fw_json_t *json, const char *before, fw_text_t user, uint32_t sessions)
{
    literal(json, before);
    literal(json, "{\"user_id\":");
    fw_json_string(json, user);
    literal(json, ",\"sessions\":");
    fw_json_number(json, sessions);
    literal(json, "}");
}

size_t fw_room_json_parts(const fw_roster_list_t *list)
{
    size_t parts = (list->members_count + FW_ROOM_PART_MAX - 1) / FW_ROOM_PART_MAX;
    return parts > 0 ? parts : 1;
}

static void total(fw_json_t *json, uint64_t count)
{
    literal(json, ",\"count\":");
    fw_json_number(json, (int64_t)count);
    literal(json, ",\"too_many\":true");
}

void fw_room_json_part(fw_json_t *json, fw_text_t channel, const fw_roster_list_t *list,
                       size_t part)
{
    size_t first = part * FW_ROOM_PART_MAX;
    size_t left = list->members_count - first;
    size_t count = left < FW_ROOM_PART_MAX ? left : FW_ROOM_PART_MAX;
    begin(json, channel);
    literal(json, part == 0 ? ",\"members\":[" : ",\"join\":[");
    for (size_t i = first; i < first + count; i++)
        member(json, i > first ? "," : "", list->members[i].user_id, list->members[i].sessions);
    literal(json, part == 0 ? "],\"snapshot\":true" : "]");
    if (list->too_many)
        total(json, list->count);
    literal(json, left > count ? ",\"more\":true}" : "}");
}

typedef bool belongs_fn(const fw_roster_change_t *change);

static bool joins(const fw_roster_change_t *change)
{
    return change->before == 0 && change->now > 0;
}

static bool leaves(const fw_roster_change_t *change)
{
    return change->before > 0 && change->now == 0;
}

static bool stays(const fw_roster_change_t *change)
{
    return change->before > 0 && change->now > 0;
}

static void list_of(fw_json_t *json, const char *before, belongs_fn *belongs,
                    const fw_roster_change_t *changes, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (!belongs(&changes[i]))
            continue;
        member(json, any ? "," : before, changes[i].user_id, changes[i].now);
        any = true;
    }
    if (any)
        literal(json, "]");
}

void fw_room_json_changes(fw_json_t *json, fw_text_t channel, const fw_roster_change_t *changes,
                          size_t count)
{
    begin(json, channel);
    list_of(json, ",\"join\":[", joins, changes, count);
    list_of(json, ",\"leave\":[", leaves, changes, count);
    list_of(json, ",\"update\":[", stays, changes, count);
    literal(json, "}");
}

void fw_room_json_count(fw_json_t *json, fw_text_t channel, uint64_t count)
{
    begin(json, channel);
    total(json, count);
    literal(json, "}");
}
