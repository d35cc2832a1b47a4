/* permissions.c - see permissions.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/permissions.h"

#include <errno.h>
#include <stdio.h>

#include "proto/utf8.h"
#include "proto/wildcard.h"

enum { SHOWN_SIZE_MAX = 48 }; /* of a name, in a reason */

static const fw_text_t everything = {"*", 1};

static bool matches(const fw_text_t *patterns, size_t count, fw_text_t text)
{
    for (size_t i = 0; i < count; i++)
        if (fw_wildcard_match(patterns[i], text))
            return true;
    return count == 0;
}

static int refuse(fw_refusal_t *ret_refusal, fw_text_t value, const char *what, const char *name)
{
    char shown[SHOWN_SIZE_MAX + 1];
    (void)fw_utf8_copy(shown, sizeof shown, (fw_bytes_t){(const uint8_t *)value.text, value.size});
    (void)snprintf(ret_refusal->reason, sizeof ret_refusal->reason,
                   "\"%s\" is not among the %s that the key of %.40s may publish", shown, what,
                   name);
    return -EACCES;
}

int fw_permissions_check(const fw_holder_t *holder, const fw_event_t *event,
                         fw_refusal_t *ret_refusal)
{
    if (!holder)
        return 0;
    *ret_refusal = (fw_refusal_t){.field = "type"};
    if (!matches(holder->types, holder->types_count, event->type))
        return refuse(ret_refusal, event->type, "types", holder->name);
    for (size_t i = 0; i < event->audience_count; i++) {
        if (matches(holder->channels, holder->channels_count, event->audience[i]))
            continue;
        (void)snprintf(ret_refusal->field, sizeof ret_refusal->field, "audience[%zu]", i);
        return refuse(ret_refusal, event->audience[i], "channels", holder->name);
    }
    return 0;
}

const fw_text_t *fw_permissions_channels(const fw_holder_t *holder, size_t *ret_count)
{
    if (!holder || holder->channels_count == 0) {
        *ret_count = 1;
        return &everything;
    }
    *ret_count = holder->channels_count;
    return holder->channels;
}
