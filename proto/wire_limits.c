/* wire_limits.c - see wire_limits.h.   SPDX-License-Identifier: MPL-2.0 */
#include "proto/wire_limits.h"

#include "freshwire/v1/browser.pb-c.h"
#include "freshwire/v1/events.pb-c.h"
#include "freshwire/v1/gateway.pb-c.h"
#include "freshwire/v1/jobs.pb-c.h"
#include "freshwire/v1/link.pb-c.h"
#include "freshwire/v1/presence.pb-c.h"
#include "freshwire/v1/publish.pb-c.h"
#include "freshwire/v1/sessions.pb-c.h"
#include "proto/browser.h"
#include "proto/channel.h"

enum {
    TEAM_MEMBERS_MAX = 1000,
    REFUSAL_TEXT_SIZE_MAX = 1024,             /* what is longer than ours is cut, not refused */
    DATA_SIZE_MAX = FW_PAYLOAD_SIZE_MAX + 16, /* a payload and the bytes that introduce it */
};

/* A publication holds an event without its lists; their sum must fit what its readers accept. */
_Static_assert(DATA_SIZE_MAX + FW_EVENT_ID_SIZE_MAX + FW_EVENT_TYPE_SIZE_MAX +
                       2 * (FW_ORIGIN_SIZE_MAX + FW_USER_ID_SIZE_MAX) + FW_TRACEPARENT_SIZE_MAX +
                       64 <=
                   FW_PUBLICATION_SIZE_MAX,
               "a publication may be larger than its limit");

#define MESSAGE(name) (&freshwire__v1__##name##__descriptor)
#define SIZE(bytes)                                                                                \
    {                                                                                              \
        .size_max = (bytes)                                                                        \
    }
#define LIST(bytes, count)                                                                         \
    {                                                                                              \
        .size_max = (bytes), .count_max = (count)                                                  \
    }
/* The texts of a typed payload share the limit of the payload. */
#define PAYLOAD_TEXT SIZE(FW_PAYLOAD_SIZE_MAX)

/* The busiest messages come first. */
static const fw_message_limit_t limits[] = {
    {MESSAGE(publisher_up), FW_FRAME_SIZE_MAX, {{0}}},
    {MESSAGE(publish), 0, {[4] = SIZE(FW_INCARNATION_SIZE)}},
    {MESSAGE(event),
     0,
     {[1] = SIZE(FW_EVENT_ID_SIZE_MAX),
      [2] = SIZE(FW_EVENT_TYPE_SIZE_MAX),
      [3] = SIZE(DATA_SIZE_MAX),
      [4] = LIST(FW_CHANNEL_SIZE_MAX, FW_AUDIENCE_MAX),
      [7] = SIZE(FW_ORIGIN_SIZE_MAX),
      [8] = SIZE(FW_USER_ID_SIZE_MAX),
      [10] = SIZE(FW_TRACEPARENT_SIZE_MAX)}},
    {MESSAGE(delivery),
     FW_FRAME_SIZE_MAX,
     {[1] = SIZE(FW_CHANNEL_SIZE_MAX),
      [6] = SIZE(FW_PUBLICATION_SIZE_MAX),
      [7] = SIZE(FW_NOTE_SIZE_MAX)}},
    {MESSAGE(position), 0, {[1] = {.number_max = FW_EPOCH_MAX}}},
    {MESSAGE(publication),
     FW_PUBLICATION_SIZE_MAX,
     {[1] = SIZE(FW_EVENT_ID_SIZE_MAX),
      [2] = SIZE(FW_EVENT_TYPE_SIZE_MAX),
      [3] = SIZE(DATA_SIZE_MAX),
      [5] = SIZE(FW_ORIGIN_SIZE_MAX),
      [6] = SIZE(FW_USER_ID_SIZE_MAX),
      [8] = SIZE(FW_TRACEPARENT_SIZE_MAX)}},
    {MESSAGE(payload),
     0,
     {[1] = SIZE(FW_PAYLOAD_SIZE_MAX),
      [2] = SIZE(FW_PAYLOAD_SIZE_MAX),
      [10] = SIZE(FW_PAYLOAD_SIZE_MAX),
      [11] = SIZE(FW_PAYLOAD_SIZE_MAX),
      [12] = SIZE(FW_PAYLOAD_SIZE_MAX),
      [13] = SIZE(FW_PAYLOAD_SIZE_MAX),
      [14] = SIZE(FW_PAYLOAD_SIZE_MAX),
      [15] = SIZE(FW_PAYLOAD_SIZE_MAX)}},
    {MESSAGE(exclude), 0, {[1] = SIZE(FW_USER_ID_SIZE_MAX), [2] = SIZE(FW_ORIGIN_SIZE_MAX)}},
    {MESSAGE(invalidate),
     0,
     {[1] = LIST(FW_KEY_SIZE_MAX, FW_INVALIDATE_KEYS_MAX),
      [2] = LIST(FW_TAG_SIZE_MAX, FW_INVALIDATE_TAGS_MAX),
      [3] = LIST(FW_KEY_SIZE_MAX, FW_INVALIDATE_PATTERNS_MAX)}},
    {MESSAGE(channel_position), 0, {[1] = SIZE(FW_CHANNEL_SIZE_MAX)}},
    {MESSAGE(publish_ack), 0, {[2] = SIZE(FW_EVENT_ID_SIZE_MAX), [4] = LIST(0, FW_AUDIENCE_MAX)}},
    {MESSAGE(worker_up), FW_FRAME_SIZE_MAX, {{0}}},
    {MESSAGE(job), 0, {[6] = SIZE(FW_INCARNATION_SIZE)}},
    {MESSAGE(jobs_done), 0, {[1] = LIST(0, FW_JOBS_MAX)}},
    {MESSAGE(jobs), 0, {[1] = LIST(0, FW_JOBS_MAX)}},
    {MESSAGE(job_done), 0, {[3] = LIST(0, FW_INVALIDATE_TAGS_MAX)}},
    {MESSAGE(stamp), 0, {[1] = SIZE(FW_TAG_SIZE_MAX)}},
    {MESSAGE(publisher_down), FW_REPLY_SIZE_MAX, {{0}}},
    {MESSAGE(worker_down), FW_REPLY_SIZE_MAX, {{0}}},
    {MESSAGE(gateway_up), FW_FRAME_SIZE_MAX, {{0}}},
    {MESSAGE(gateway_down), FW_REPLY_SIZE_MAX, {{0}}},
    {MESSAGE(hello), 0, {[2] = SIZE(FW_NAME_SIZE_MAX), [3] = SIZE(FW_INCARNATION_SIZE)}},
    {MESSAGE(welcome), 0, {[2] = SIZE(FW_INCARNATION_SIZE)}},
    {MESSAGE(goodbye), 0, {[1] = SIZE(FW_REASON_SIZE_MAX)}},
    {MESSAGE(refusal), 0, {[1] = SIZE(REFUSAL_TEXT_SIZE_MAX), [2] = SIZE(REFUSAL_TEXT_SIZE_MAX)}},
    {MESSAGE(job_failed), 0, {[3] = SIZE(FW_REASON_SIZE_MAX)}},
    {MESSAGE(beacon), FW_FRAME_SIZE_MAX, {[1] = SIZE(FW_INCARNATION_SIZE)}},
    {MESSAGE(purged), FW_FRAME_SIZE_MAX, {[3] = LIST(0, FW_INVALIDATE_TAGS_MAX)}},
    {MESSAGE(fire_mark), 0, {[1] = SIZE(FW_INCARNATION_SIZE)}},
    {MESSAGE(fire_missing), 0, {[1] = SIZE(FW_INCARNATION_SIZE)}},
    {MESSAGE(positions_request), 0, {[2] = LIST(FW_CHANNEL_SIZE_MAX, FW_POSITIONS_MAX)}},
    {MESSAGE(positions_reply), 0, {[2] = LIST(0, FW_POSITIONS_MAX)}},
    {MESSAGE(replay_request), 0, {[2] = SIZE(FW_CHANNEL_SIZE_MAX)}},
    {MESSAGE(replay_reply),
     0,
     {[2] = SIZE(FW_CHANNEL_SIZE_MAX), [5] = LIST(0, FW_REPLAY_EVENTS_MAX)}},
    {MESSAGE(client_message), FW_FRAME_SIZE_MAX, {{0}}},
    {MESSAGE(client_hello),
     0,
     {[1] = SIZE(FW_BROWSER_TOKEN_SIZE_MAX),
      [2] = SIZE(FW_ORIGIN_SIZE_MAX),
      [4] = LIST(0, FW_BROWSER_SUBSCRIPTIONS_MAX)}},
    {MESSAGE(client_subscription), 0, {[1] = SIZE(FW_CHANNEL_SIZE_MAX)}},
    {MESSAGE(client_subscribe),
     0,
     {[1] = SIZE(FW_BROWSER_REQUEST_ID_SIZE_MAX), [2] = SIZE(FW_CHANNEL_SIZE_MAX)}},
    {MESSAGE(client_unsubscribe),
     0,
     {[1] = SIZE(FW_BROWSER_REQUEST_ID_SIZE_MAX), [2] = SIZE(FW_CHANNEL_SIZE_MAX)}},
    {MESSAGE(client_refresh),
     0,
     {[1] = SIZE(FW_BROWSER_REQUEST_ID_SIZE_MAX), [2] = SIZE(FW_BROWSER_TOKEN_SIZE_MAX)}},
    {MESSAGE(client_publish),
     0,
     {[1] = SIZE(FW_BROWSER_REQUEST_ID_SIZE_MAX),
      [2] = SIZE(FW_CHANNEL_SIZE_MAX),
      [3] = SIZE(FW_EVENT_TYPE_SIZE_MAX),
      [4] = SIZE(FW_PAYLOAD_SIZE_MAX)}},
    {MESSAGE(room_member), 0, {[1] = SIZE(FW_USER_ID_SIZE_MAX)}},
    {MESSAGE(room_members),
     0,
     {[1] = SIZE(FW_CHANNEL_SIZE_MAX), [2] = LIST(0, FW_PRESENCE_CHANGES_MAX)}},
    {MESSAGE(presence_report), 0, {[4] = LIST(0, FW_PRESENCE_ROOMS_MAX)}},
    {MESSAGE(room_version), 0, {[1] = SIZE(FW_CHANNEL_SIZE_MAX)}},
    {MESSAGE(presence_request), 0, {[2] = LIST(0, FW_PRESENCE_QUESTIONS_MAX)}},
    {MESSAGE(presence_reply),
     0,
     {[2] = SIZE(FW_CHANNEL_SIZE_MAX), [8] = LIST(0, FW_PRESENCE_MEMBERS_MAX)}},
    {MESSAGE(presence_diff), 0, {[6] = LIST(0, FW_PRESENCE_CHANGES_MAX)}},
    {MESSAGE(note), FW_NOTE_SIZE_MAX, {[2] = SIZE(FW_PUBLICATION_SIZE_MAX)}},
    {MESSAGE(client_note),
     0,
     {[1] = SIZE(FW_CHANNEL_SIZE_MAX), [2] = SIZE(FW_PUBLICATION_SIZE_MAX)}},
    {MESSAGE(room_patterns), 0, {[1] = LIST(FW_CHANNEL_SIZE_MAX, FW_ROOM_PATTERNS_MAX)}},
    {MESSAGE(session_command),
     0,
     {[3] = SIZE(FW_USER_ID_SIZE_MAX),
      [4] = SIZE(FW_SESSION_ID_DIGITS),
      [6] = SIZE(FW_CLOSE_REASON_SIZE_MAX),
      [7] = SIZE(FW_CHANNEL_SIZE_MAX)}},
    {MESSAGE(session_command_result), 0, {[5] = SIZE(FW_REASON_SIZE_MAX)}},
    {MESSAGE(project_created),
     FW_PAYLOAD_SIZE_MAX,
     {[1] = PAYLOAD_TEXT,
      [2] = PAYLOAD_TEXT,
      [3] = PAYLOAD_TEXT,
      [4] = PAYLOAD_TEXT,
      [5] = PAYLOAD_TEXT,
      [6] = PAYLOAD_TEXT}},
    {MESSAGE(project_updated),
     FW_PAYLOAD_SIZE_MAX,
     {[1] = PAYLOAD_TEXT,
      [2] = PAYLOAD_TEXT,
      [3] = PAYLOAD_TEXT,
      [4] = PAYLOAD_TEXT,
      [5] = PAYLOAD_TEXT,
      [6] = PAYLOAD_TEXT}},
    {MESSAGE(project_deleted), FW_PAYLOAD_SIZE_MAX, {[1] = PAYLOAD_TEXT, [2] = PAYLOAD_TEXT}},
    {MESSAGE(user_updated),
     FW_PAYLOAD_SIZE_MAX,
     {[1] = PAYLOAD_TEXT, [2] = PAYLOAD_TEXT, [3] = PAYLOAD_TEXT}},
    {MESSAGE(notification_created),
     FW_PAYLOAD_SIZE_MAX,
     {[1] = PAYLOAD_TEXT,
      [2] = PAYLOAD_TEXT,
      [3] = PAYLOAD_TEXT,
      [4] = PAYLOAD_TEXT,
      [5] = PAYLOAD_TEXT,
      [6] = PAYLOAD_TEXT}},
    {MESSAGE(team_updated),
     FW_PAYLOAD_SIZE_MAX,
     {[1] = PAYLOAD_TEXT, [2] = PAYLOAD_TEXT, [3] = LIST(FW_USER_ID_SIZE_MAX, TEAM_MEMBERS_MAX)}},
};

const fw_message_limit_t *fw_wire_limits(const ProtobufCMessageDescriptor *descriptor)
{
    static const fw_message_limit_t none;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].descriptor == descriptor)
            return &limits[i];
    return &none;
}
