/* session_command.c - see session_messages.h.   SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/channel.h"
#include "proto/session_messages.h"
#include "proto/utf8.h"

static int refuse(const char *field, const char *reason, uint64_t limit, uint64_t value,
                  fw_refusal_t *ret_refusal)
{
    *ret_refusal = (fw_refusal_t){.limit = limit, .value = value};
    (void)snprintf(ret_refusal->field, sizeof ret_refusal->field, "%s", field);
    (void)snprintf(ret_refusal->reason, sizeof ret_refusal->reason, "%s", reason);
    return -EPROTO;
}

static bool is_user(fw_text_t user)
{
    char name[FW_CHANNEL_SIZE_MAX + 1];
    size_t size = 0;
    return user.size > 0 && user.size <= FW_USER_ID_SIZE_MAX &&
           fw_channel_make(FW_CHANNEL_KIND_USER, user, name, &size) == 0;
}

static bool is_session_id(fw_text_t id)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < id.size; i++)
        if (!memchr(digits, id.text[i], sizeof digits - 1))
            return false;
    return id.size == FW_SESSION_ID_DIGITS;
}

static int check_reason(fw_text_t reason, fw_refusal_t *ret_refusal)
{
    fw_bytes_t bytes = {(const uint8_t *)reason.text, reason.size};
    if (reason.size > FW_CLOSE_REASON_SIZE_MAX)
        return refuse("reason", "is too long", FW_CLOSE_REASON_SIZE_MAX, reason.size, ret_refusal);
    if (reason.size > 0 && !fw_utf8_printable(bytes))
        return refuse("reason", "is not printable text", 0, 0, ret_refusal);
    return 0;
}

static int check_disconnect(const fw_session_command_t *command, fw_refusal_t *ret_refusal)
{
    if (command->code != 4000 && command->code != 4100 && command->code != 4403)
        return refuse("code", "must be 4403, 4100 or 4000", 0, command->code, ret_refusal);
    if (command->session_id.size > 0 && !is_session_id(command->session_id))
        return refuse("session_id", "is not 16 hexadecimal digits", 0, 0, ret_refusal);
    return check_reason(command->reason, ret_refusal);
}

static int check_refresh(const fw_session_command_t *command, fw_refusal_t *ret_refusal)
{
    static const char *const names[FW_ROOM_CLAIMS] = {"rooms", "publish", "presence"};
    bool given = false;
    for (size_t i = 0; i < FW_ROOM_CLAIMS; i++) {
        const fw_room_patterns_t *claim = &command->claims[i];
        given = given || claim->given;
        if (claim->count > FW_ROOM_PATTERNS_MAX)
            return refuse(names[i], "has too many patterns", FW_ROOM_PATTERNS_MAX, claim->count,
                          ret_refusal);
        for (size_t k = 0; k < claim->count; k++) {
            if (claim->patterns[k].size == 0)
                return refuse(names[i], "has an empty pattern", 0, 0, ret_refusal);
            if (claim->patterns[k].size > FW_CHANNEL_SIZE_MAX)
                return refuse(names[i], "has a pattern that is too long", FW_CHANNEL_SIZE_MAX,
                              claim->patterns[k].size, ret_refusal);
        }
    }
    return given
               ? 0
               : refuse("rooms", "is missing, and so are publish and presence", 0, 0, ret_refusal);
}

int fw_session_command_check(const fw_session_command_t *command, fw_refusal_t *ret_refusal)
{
    if (!is_user(command->user_id))
        return refuse("user_id",
                      command->user_id.size == 0 ? "is missing" : "cannot be the id of a user",
                      FW_USER_ID_SIZE_MAX, command->user_id.size, ret_refusal);
    switch (command->action) {
    case FW_SESSIONS_DISCONNECT:
        return check_disconnect(command, ret_refusal);
    case FW_SESSIONS_UNSUBSCRIBE:
        if (fw_channel_kind(command->channel) == FW_CHANNEL_INVALID)
            return refuse("channel", "is not a channel", 0, 0, ret_refusal);
        return 0;
    case FW_SESSIONS_REFRESH:
        return check_refresh(command, ret_refusal);
    }
    return refuse("action", "is unknown", 0, (uint64_t)command->action, ret_refusal);
}
