/* route.c - see route.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/route.h"

#include <strings.h>

#include "proto/channel.h"

static bool starts_with(fw_text_t text, fw_text_t prefix)
{
    return text.size >= prefix.size && memcmp(text.text, prefix.text, prefix.size) == 0;
}

static fw_text_t behind(fw_text_t text, size_t size)
{
    return (fw_text_t){text.text + size, text.size - size};
}

fw_route_t fw_route_parse(fw_text_t prefix, fw_text_t path)
{
    const fw_text_t ws = FW_TEXT("/ws");
    const fw_text_t sse = FW_TEXT("/sse");
    const fw_text_t room = FW_TEXT("/room/");
    fw_route_t route = {.endpoint = FW_ENDPOINT_NONE, .room = FW_TEXT_NONE};
    if (!starts_with(path, prefix))
        return route;
    fw_text_t rest = behind(path, prefix.size);
    if (fw_text_equal(rest, FW_TEXT("/v1/events"))) {
        route.endpoint = FW_ENDPOINT_EVENTS;
        return route;
    }
    bool stream = starts_with(rest, sse);
    if (!stream && !starts_with(rest, ws))
        return route;
    rest = behind(rest, stream ? sse.size : ws.size);
    if (rest.size == 0) {
        route = (fw_route_t){FW_ENDPOINT_ALL, FW_TEXT_NONE, stream};
    } else if (fw_text_equal(rest, FW_TEXT("/notifications"))) {
        route = (fw_route_t){FW_ENDPOINT_NOTIFICATIONS, FW_TEXT_NONE, stream};
    } else if (starts_with(rest, room)) {
        char name[FW_CHANNEL_SIZE_MAX + 1];
        size_t size;
        fw_text_t id = behind(rest, room.size);
        if (fw_channel_make(FW_CHANNEL_KIND_ROOM, id, name, &size) == 0)
            route = (fw_route_t){FW_ENDPOINT_ROOM, id, stream};
    }
    return route;
}

bool fw_route_argument(fw_text_t argument, const char *name, fw_text_t *ret_value)
{
    size_t size = strlen(name);
    if (argument.size <= size || memcmp(argument.text, name, size) != 0 ||
        argument.text[size] != '=')
        return false;
    *ret_value = behind(argument, size + 1);
    return true;
}

fw_text_t fw_route_bearer(fw_text_t authorization)
{
    static const char scheme[] = "bearer ";
    size_t size = sizeof scheme - 1;
    if (authorization.size <= size || strncasecmp(authorization.text, scheme, size) != 0)
        return FW_TEXT_NONE;
    while (size < authorization.size && authorization.text[size] == ' ')
        size++;
    return behind(authorization, size);
}

static bool is_token_character(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t behind_blank(fw_text_t text, size_t i)
{
    while (i < text.size && (text.text[i] == ' ' || text.text[i] == '\t'))
        i++;
    return i;
}

static fw_subprotocol_t known(fw_text_t token)
{
    if (fw_text_equal(token, FW_TEXT(FW_SUBPROTOCOL_JSON)))
        return FW_SUBPROTOCOL_OURS;
    return fw_text_equal(token, FW_TEXT(FW_SUBPROTOCOL_PROTOBUF)) ? FW_SUBPROTOCOL_OURS_BINARY
                                                                  : FW_SUBPROTOCOL_UNKNOWN;
}

fw_subprotocol_t fw_route_subprotocol(fw_text_t offered,
                                      char ret_first[FW_SUBPROTOCOL_SIZE_MAX + 1])
{
    ret_first[0] = '\0';
    if (offered.size == 0)
        return FW_SUBPROTOCOL_NONE;
    fw_subprotocol_t chosen = FW_SUBPROTOCOL_UNKNOWN;
    size_t i = 0;
    for (;;) {
        i = behind_blank(offered, i);
        size_t begin = i;
        while (i < offered.size && is_token_character(offered.text[i]))
            i++;
        fw_text_t token = {offered.text + begin, i - begin};
        if (token.size == 0 || token.size > FW_SUBPROTOCOL_SIZE_MAX)
            return FW_SUBPROTOCOL_BAD;
        if (ret_first[0] == '\0') {
            memcpy(ret_first, token.text, token.size);
            ret_first[token.size] = '\0';
        }
        if (chosen == FW_SUBPROTOCOL_UNKNOWN)
            chosen = known(token);
        i = behind_blank(offered, i);
        if (i == offered.size)
            return chosen;
        if (offered.text[i++] != ',')
            return FW_SUBPROTOCOL_BAD;
    }
}

bool fw_route_origin_allowed(const char *const *origins, size_t count, fw_text_t origin)
{
    if (count == 0 || origin.size == 0)
        return true;
    for (size_t i = 0; i < count; i++) {
        if (strlen(origins[i]) == origin.size &&
            strncasecmp(origins[i], origin.text, origin.size) == 0)
            return true;
    }
    return false;
}
