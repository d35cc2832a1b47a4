/* dialogue_rooms.h - who is in a room, and what clients publish into it, in the dialogue.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. What a client publishes carries the user of its token and its origin; it cannot choose the
 * first, and it never purges anything. */
#pragma once

#include "gateway/client_message.h"
#include "gateway/dialogue.h"
#include "gateway/rooms.h"

/* What clients may publish, and where it goes. */
struct fw_client_publish {
    uint32_t per_second; /* events of one session; twice as many at once; beyond: fw.error 4290 */
    size_t bytes_max;    /* of an event's data; at most FW_CLIENT_DATA_SIZE_MAX */
    bool keep;           /* keep:true is allowed */
    const char *const *types; /* patterns (proto/wildcard.h); none = every type */
    size_t types_count;
    void *context;
    /* To those who are there now. 0; a negative errno: cannot be sent now. */
    int (*pass)(void *context, const fw_event_t *event);
    /* As an ordinary event; once it is acknowledged, or not, the session is told. Likewise. */
    int (*keep_event)(void *context, fw_session_t *session, const fw_event_t *event,
                      fw_text_t request_id);
};

/* What a subscription said about presence, after the channel was joined. */
void fw_dialogue_watch(const fw_dialogue_t *self, fw_session_t *session,
                       const fw_client_subscription_t *subscription);
/* fw.publish: done, under way, or refused by fw.error. */
void fw_dialogue_publish(const fw_dialogue_t *self, fw_session_t *session,
                         const fw_client_message_t *message, int64_t now_ms);
/* The session has other claims: whom it may not see any more it does not see, and it is told so. */
void fw_dialogue_recheck(const fw_dialogue_t *self, fw_session_t *session);
