/* wire_samples.c - see wire_samples.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/wire_samples.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }
#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define NO_TEXT TEXT("")
#define INCARNATION BYTES("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xff")
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define EPOCH_LAST FW_EPOCH_MAX

/* 1732270000123 and -1 as varints. */
#define TIME "\xfb\x8f\xda\x9a\xb5\x32"
#define MINUS_ONE "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"

/* The six typed payloads as any protobuf library writes them, every field set. A field is its tag
 * and length, and its text. */
#define F(tag_and_length, text) tag_and_length text
#define GRUESSE                                                                                    \
    "Gr\xc3\xbc\xc3\x9f"                                                                           \
    "e"
#define PROJECT                                                                                    \
    F("\x0a\x02", "42")                                                                            \
    F("\x12\x06", "Apollo")                                                                        \
    F("\x1a\x07", GRUESSE)                                                                         \
    F("\x22\x06", "active") F("\x2a\x01", "9") F("\x32\x01", "7") F("\x38\x12\x40", TIME)
#define PROJECT_DELETED F("\x0a\x02", "42") F("\x12\x01", "7") F("\x18", MINUS_ONE)
#define USER_UPDATED                                                                               \
    F("\x0a\x01", "9") F("\x12\x03", "Ada") F("\x1a\x0a", "/a/9?s=\"2\"") F("\x20\x13\x28", TIME)
#define NOTIFICATION_CREATED                                                                       \
    F("\x0a\x01", "n")                                                                             \
    F("\x12\x01", "9")                                                                             \
    F("\x1a\x05", "Hello")                                                                         \
    F("\x22\x09", "two\nlines") F("\x2a\x04", "info") F("\x32\x02", "/n") F("\x38", TIME)
#define TEAM_UPDATED                                                                               \
    F("\x0a\x01", "7")                                                                             \
    F("\x12\x04", "Core") F("\x1a\x01", "9") F("\x1a\x02", "10") F("\x20\x14\x28", TIME)

static const fw_text_t channels[] = {TEXT("broadcast"), TEXT("user:9"), TEXT("room:" GRUESSE)};
static const fw_text_t keys[] = {TEXT("fw:c:projects:list"), TEXT("fw:c:project:42")};
static const fw_text_t tags[] = {TEXT("project:42"), TEXT("team:7:projects")};
static const fw_text_t patterns[] = {TEXT("legacy:projects:*")};
static const fw_channel_position_t positions[] = {
    {TEXT("broadcast"), {EPOCH_LAST, UINT64_MAX}},
    {TEXT("room:42"), {1, 0}},
};
static const fw_stamp_t stamps[] = {
    {TEXT("project:42"), UINT64_C(1732270000122456)},
    {TEXT("team:7:projects"), UINT64_MAX},
};
static const fw_delivery_t deliveries[] = {
    {TEXT("room:42"), {7, 17}, UINT64_C(1732270000122456), true, 250, BYTES("\x0a\x01x")},
    {TEXT("room:42"), {7, 18}, 0, false, 0, {NULL, 0}},
};

static const fw_room_member_t members[] = {
    {TEXT("9"), 2, false},
    {TEXT(GRUESSE), UINT32_MAX, false},
    {TEXT("10"), 0, true},
};
static const fw_room_members_t rooms[] = {
    {TEXT("room:42"), members, COUNT(members)},
    {TEXT("room:7"), members, 1},
};
static const fw_room_members_t departure[] = {{TEXT("room:7"), &members[2], 1}};
static const fw_room_version_t versions[] = {
    {TEXT("room:42"), UINT64_MAX, 17},
    {TEXT("room:7"), 0, 0},
};

static const fw_text_t globs[] = {TEXT("4*"), TEXT("lobby")};

#define COMMAND(...)                                                                               \
    .kind = FW_MESSAGE_SESSION_COMMAND,                                                            \
    .session_command = {.command_id = 7, .user_id = TEXT("9"), __VA_ARGS__}
#define INVALIDATE                                                                                 \
    {                                                                                              \
        keys, COUNT(keys), tags, COUNT(tags), patterns, COUNT(patterns)                            \
    }
static const fw_job_t jobs[] = {
    {5, 2, 1000, INVALIDATE, FW_CACHE_NONE, {NULL, 0}},
    {6, 1, 1000, {NULL, 0, NULL, 0, NULL, 0}, FW_CACHE_OPEN, INCARNATION},
};
static const fw_job_done_t dones[] = {
    {5, UINT64_C(1732270000122456), stamps, COUNT(stamps), 12},
    {UINT64_MAX, 1, NULL, 0, 0},
};
#define EVENT(type_name, ...)                                                                      \
    {                                                                                              \
        .id = TEXT("0192f0c1-7b3e-7c11-9d50-2f1f0a6a1b2c"), .type = TEXT(type_name),               \
        .data = __VA_ARGS__, .audience = channels, .audience_count = COUNT(channels),              \
        .exclude = {TEXT("8"), TEXT("tab-6")}, .invalidate = INVALIDATE, .origin = TEXT("tab-7"),  \
        .user_id = TEXT("9"), .ts = INT64_C(1732270000123), .traceparent = TEXT(TRACE),            \
        .client = true                                                                             \
    }
#define JSON(text)                                                                                 \
    {                                                                                              \
        .kind = FW_PAYLOAD_JSON, .bytes = BYTES(text), .type = NO_TEXT                             \
    }
#define BINARY(literal)                                                                            \
    {                                                                                              \
        .kind = FW_PAYLOAD_BINARY, .bytes = BYTES(literal), .type = NO_TEXT                        \
    }
#define TYPED(name, encoded)                                                                       \
    {                                                                                              \
        .kind = FW_PAYLOAD_TYPED, .bytes = BYTES(encoded), .type = TEXT(name)                      \
    }
#define PUBLISH(type_name, ...)                                                                    \
    {                                                                                              \
        .decoder = FW_LINK_PUBLISHER_UP, .message = {                                              \
            .kind = FW_MESSAGE_PUBLISH,                                                            \
            .publish = {UINT64_MAX, FW_ACK_ACCEPTED, 3, INCARNATION,                               \
                        EVENT(type_name, __VA_ARGS__)}                                             \
        }                                                                                          \
    }
#define ON(link, ...)                                                                              \
    {                                                                                              \
        .decoder = FW_LINK_##link, .message = { __VA_ARGS__ }                                      \
    }
#define HELLO .kind = FW_MESSAGE_HELLO, .hello = {1, TEXT("api-1"), INCARNATION, 64}
#define BARE_HELLO .kind = FW_MESSAGE_HELLO, .hello = {0, NO_TEXT, INCARNATION, 0}
#define WELCOME .kind = FW_MESSAGE_WELCOME, .welcome = {1, INCARNATION, 1000, 65536, 500}
#define BARE_WELCOME .kind = FW_MESSAGE_WELCOME, .welcome = {0, INCARNATION, 0, 0, 0}
#define PING .kind = FW_MESSAGE_PING, .number = UINT64_MAX
#define PONG .kind = FW_MESSAGE_PONG, .number = 1
#define GOODBYE .kind = FW_MESSAGE_GOODBYE, .goodbye = TEXT("draining")
#define BARE_GOODBYE .kind = FW_MESSAGE_GOODBYE, .goodbye = NO_TEXT
#define REFUSAL .kind = FW_MESSAGE_REFUSAL, .refusal = {"audience[64]", "is one too many", 64, 65}
#define BARE_REFUSAL .kind = FW_MESSAGE_REFUSAL, .refusal = {"", "", 0, 0}

static const fw_sample_t samples[] = {
    {"publisher_up_hello", ON(PUBLISHER_UP, HELLO)},
    {"publisher_up_hello_bare", ON(PUBLISHER_UP, BARE_HELLO)},
    {"publisher_up_publish_json", PUBLISH("project_renamed", JSON("{\"id\":\"42\"}"))},
    {"publisher_up_publish_binary", PUBLISH("blob", BINARY("\x00\xff"))},
    {"publisher_up_project_created", PUBLISH("project_created", TYPED("project_created", PROJECT))},
    {"publisher_up_project_updated", PUBLISH("project_updated", TYPED("project_updated", PROJECT))},
    {"publisher_up_project_deleted",
     PUBLISH("project_deleted", TYPED("project_deleted", PROJECT_DELETED))},
    {"publisher_up_user_updated", PUBLISH("user_updated", TYPED("user_updated", USER_UPDATED))},
    {"publisher_up_notification_created",
     PUBLISH("notification_created", TYPED("notification_created", NOTIFICATION_CREATED))},
    {"publisher_up_team_updated", PUBLISH("team_updated", TYPED("team_updated", TEAM_UPDATED))},
    {"publisher_up_publish_bare",
     ON(PUBLISHER_UP, .kind = FW_MESSAGE_PUBLISH, .publish = {.level = FW_ACK_PURGED})},
    {"publisher_up_ping", ON(PUBLISHER_UP, PING)},
    {"publisher_up_goodbye", ON(PUBLISHER_UP, GOODBYE)},
    {"publisher_up_fire_mark",
     ON(PUBLISHER_UP, .kind = FW_MESSAGE_FIRE_MARK, .fire_mark = {INCARNATION, UINT64_MAX, 7})},
    {"publisher_down_welcome", ON(PUBLISHER_DOWN, WELCOME)},
    {"publisher_down_welcome_bare", ON(PUBLISHER_DOWN, BARE_WELCOME)},
    {"publisher_down_ack", ON(PUBLISHER_DOWN, .kind = FW_MESSAGE_PUBLISH_ACK,
                              .ack = {UINT64_MAX,
                                      TEXT("0192f0c1"),
                                      FW_PUBLISH_REJECTED,
                                      positions,
                                      COUNT(positions),
                                      7,
                                      1500,
                                      true,
                                      {"audience[64]", "is one too many", 64, 65},
                                      true,
                                      UINT64_C(1732270000122456)})},
    {"publisher_down_ack_bare",
     ON(PUBLISHER_DOWN, .kind = FW_MESSAGE_PUBLISH_ACK, .ack = {.status = FW_PUBLISH_OK})},
    {"publisher_down_pong", ON(PUBLISHER_DOWN, PONG)},
    {"publisher_down_goodbye", ON(PUBLISHER_DOWN, GOODBYE)},
    {"publisher_down_fire_missing",
     ON(PUBLISHER_DOWN, .kind = FW_MESSAGE_FIRE_MISSING, .fire_missing = {INCARNATION, 17, 3})},
    {"publisher_down_refusal", ON(PUBLISHER_DOWN, REFUSAL)},
    {"publisher_down_refusal_bare", ON(PUBLISHER_DOWN, BARE_REFUSAL)},
    {"worker_up_hello", ON(WORKER_UP, HELLO)},
    {"worker_up_done", ON(WORKER_UP, .kind = FW_MESSAGE_JOB_DONE,
                          .done = {5, UINT64_C(1732270000122456), stamps, COUNT(stamps), 12})},
    {"worker_up_done_bare", ON(WORKER_UP, .kind = FW_MESSAGE_JOB_DONE, .done = {0})},
    {"worker_up_all_done",
     ON(WORKER_UP, .kind = FW_MESSAGE_JOBS_DONE, .jobs_done = {dones, COUNT(dones)})},
    {"worker_up_all_done_bare", ON(WORKER_UP, .kind = FW_MESSAGE_JOBS_DONE, .jobs_done = {0})},
    {"worker_up_failed", ON(WORKER_UP, .kind = FW_MESSAGE_JOB_FAILED,
                            .failed = {5, true, TEXT("LOADING Redis is loading")})},
    {"worker_up_failed_bare", ON(WORKER_UP, .kind = FW_MESSAGE_JOB_FAILED, .failed = {0})},
    {"worker_up_ping", ON(WORKER_UP, PING)},
    {"worker_up_goodbye", ON(WORKER_UP, GOODBYE)},
    {"worker_down_welcome", ON(WORKER_DOWN, WELCOME)},
    {"worker_down_job", ON(WORKER_DOWN, .kind = FW_MESSAGE_JOB, .job = {5, 2, 1000, INVALIDATE})},
    {"worker_down_job_open",
     ON(WORKER_DOWN, .kind = FW_MESSAGE_JOB,
        .job = {5, 1, 1000, .cache_action = FW_CACHE_OPEN, .broker = INCARNATION})},
    {"worker_down_job_bare", ON(WORKER_DOWN, .kind = FW_MESSAGE_JOB, .job = {0})},
    {"worker_down_jobs", ON(WORKER_DOWN, .kind = FW_MESSAGE_JOBS, .jobs = {jobs, COUNT(jobs)})},
    {"worker_down_jobs_bare", ON(WORKER_DOWN, .kind = FW_MESSAGE_JOBS, .jobs = {0})},
    {"worker_down_pong", ON(WORKER_DOWN, PONG)},
    {"worker_down_goodbye", ON(WORKER_DOWN, BARE_GOODBYE)},
    {"worker_down_refusal", ON(WORKER_DOWN, REFUSAL)},
    {"gateway_up_hello", ON(GATEWAY_UP, HELLO)},
    {"gateway_up_positions", ON(GATEWAY_UP, .kind = FW_MESSAGE_POSITIONS_REQUEST,
                                .positions_request = {9, channels, COUNT(channels)})},
    {"gateway_up_positions_bare",
     ON(GATEWAY_UP, .kind = FW_MESSAGE_POSITIONS_REQUEST, .positions_request = {0})},
    {"gateway_up_replay", ON(GATEWAY_UP, .kind = FW_MESSAGE_REPLAY_REQUEST,
                             .replay_request = {10, TEXT("room:42"), {7, 16}, 256})},
    {"gateway_up_replay_bare",
     ON(GATEWAY_UP, .kind = FW_MESSAGE_REPLAY_REQUEST, .replay_request = {0})},
    {"gateway_up_ping", ON(GATEWAY_UP, PING)},
    {"gateway_up_goodbye", ON(GATEWAY_UP, GOODBYE)},
    {"gateway_up_presence_report",
     ON(GATEWAY_UP, .kind = FW_MESSAGE_PRESENCE_REPORT,
        .presence_report = {UINT64_MAX, true, true, rooms, COUNT(rooms)})},
    {"gateway_up_presence_left",
     ON(GATEWAY_UP, .kind = FW_MESSAGE_PRESENCE_REPORT,
        .presence_report = {2, false, false, departure, COUNT(departure)})},
    {"gateway_up_presence_report_bare",
     ON(GATEWAY_UP, .kind = FW_MESSAGE_PRESENCE_REPORT, .presence_report = {.number = 1})},
    {"gateway_up_presence_request", ON(GATEWAY_UP, .kind = FW_MESSAGE_PRESENCE_REQUEST,
                                       .presence_request = {11, versions, COUNT(versions)})},
    {"gateway_up_presence_request_bare",
     ON(GATEWAY_UP, .kind = FW_MESSAGE_PRESENCE_REQUEST, .presence_request = {0})},
    {"gateway_up_note", ON(GATEWAY_UP, .kind = FW_MESSAGE_CLIENT_NOTE,
                           .client_note = {TEXT("room:42"), BYTES("\x0a\x01x")})},
    {"gateway_up_session_disconnect",
     ON(GATEWAY_UP,
        COMMAND(.action = FW_SESSIONS_DISCONNECT, .session_id = TEXT("00000000deadbeef"),
                .code = 4403, .reason = TEXT("signed out")))},
    {"gateway_up_session_unsubscribe",
     ON(GATEWAY_UP, COMMAND(.action = FW_SESSIONS_UNSUBSCRIBE, .channel = TEXT("room:42")))},
    {"gateway_up_session_refresh",
     ON(GATEWAY_UP,
        COMMAND(.action = FW_SESSIONS_REFRESH,
                .claims = {{true, globs, COUNT(globs)}, {true, NULL, 0}, {true, globs, 1}}))},
    {"gateway_up_session_done",
     ON(GATEWAY_UP, .kind = FW_MESSAGE_SESSION_DONE, .session_done = {UINT64_MAX, UINT32_MAX})},
    {"gateway_up_session_done_bare",
     ON(GATEWAY_UP, .kind = FW_MESSAGE_SESSION_DONE, .session_done = {0})},
    {"gateway_down_session_unsubscribe",
     ON(GATEWAY_DOWN, COMMAND(.action = FW_SESSIONS_UNSUBSCRIBE, .channel = TEXT("user:9")))},
    {"gateway_down_session_result",
     ON(GATEWAY_DOWN, .kind = FW_MESSAGE_SESSION_RESULT,
        .session_result = {7, 3, 2, UINT64_MAX, TEXT("too many commands")})},
    {"gateway_down_session_result_bare",
     ON(GATEWAY_DOWN, .kind = FW_MESSAGE_SESSION_RESULT, .session_result = {.refused = NO_TEXT})},
    {"gateway_down_presence_ack",
     ON(GATEWAY_DOWN, .kind = FW_MESSAGE_PRESENCE_ACK, .presence_ack = {UINT64_MAX, true})},
    {"gateway_down_presence_ack_bare",
     ON(GATEWAY_DOWN, .kind = FW_MESSAGE_PRESENCE_ACK, .presence_ack = {0})},
    {"gateway_down_presence_reply",
     ON(GATEWAY_DOWN, .kind = FW_MESSAGE_PRESENCE_REPLY,
        .presence_reply = {11, TEXT("room:42"), UINT64_MAX, 17, true, true, 2001, members,
                           COUNT(members), 15000})},
    {"gateway_down_presence_reply_bare",
     ON(GATEWAY_DOWN, .kind = FW_MESSAGE_PRESENCE_REPLY, .presence_reply = {.epoch = 1})},
    {"gateway_down_welcome", ON(GATEWAY_DOWN, WELCOME)},
    {"gateway_down_positions", ON(GATEWAY_DOWN, .kind = FW_MESSAGE_POSITIONS_REPLY,
                                  .positions_reply = {9, positions, COUNT(positions), true})},
    {"gateway_down_positions_bare",
     ON(GATEWAY_DOWN, .kind = FW_MESSAGE_POSITIONS_REPLY, .positions_reply = {0})},
    {"gateway_down_replay",
     ON(GATEWAY_DOWN, .kind = FW_MESSAGE_REPLAY_REPLY,
        .replay_reply =
            {10, TEXT("room:42"), FW_REPLAY_MORE, {7, 99}, deliveries, COUNT(deliveries), true})},
    {"gateway_down_replay_bare", ON(GATEWAY_DOWN, .kind = FW_MESSAGE_REPLAY_REPLY,
                                    .replay_reply = {.status = FW_REPLAY_RESET})},
    {"gateway_down_pong", ON(GATEWAY_DOWN, PONG)},
    {"gateway_down_goodbye", ON(GATEWAY_DOWN, GOODBYE)},
    {"gateway_down_refusal", ON(GATEWAY_DOWN, REFUSAL)},
    {"delivery",
     {.decoder = FW_ANY_DELIVERY,
      .delivery = {TEXT("user:9"),
                   {EPOCH_LAST, 17},
                   UINT64_C(1732270000122456),
                   true,
                   250,
                   BYTES("\x0a\x01x")}}},
    {"delivery_bare",
     {.decoder = FW_ANY_DELIVERY, .delivery = {.channel = NO_TEXT, .position = {1, 1}}}},
    {"beacon", {.decoder = FW_ANY_BEACON, .beacon = {INCARNATION, 8, UINT64_MAX}}},
    {"beacon_bare", {.decoder = FW_ANY_BEACON, .beacon = {INCARNATION, 0, 0}}},
    {"purged",
     {.decoder = FW_ANY_PURGED,
      .purged = {UINT64_C(1732270000122456), INVALIDATE, stamps, COUNT(stamps), 500000}}},
    {"purged_bare", {.decoder = FW_ANY_PURGED, .purged = {.redis_time = 1}}},
    {"publication",
     {.decoder = FW_ANY_PUBLICATION,
      .publication = {TEXT("0192f0c1"),
                      TEXT("team_updated"),
                      TYPED("team_updated", TEAM_UPDATED),
                      {TEXT("8"), TEXT("tab-6")},
                      TEXT("tab-7"),
                      TEXT("9"),
                      INT64_C(-1),
                      TEXT(TRACE),
                      true}}},
    {"note_presence",
     {.decoder = FW_ANY_NOTE,
      .note = {TEXT("room:42"), {NULL, 0}, {7, 16, 17, 2001, true, members, COUNT(members)}}}},
    {"note_presence_bare",
     {.decoder = FW_ANY_NOTE,
      .note = {.channel = NO_TEXT, .presence = {.epoch = 1, .changes = NULL}}}},
    {"note_publication",
     {.decoder = FW_ANY_NOTE,
      .note = {.channel = TEXT("room:42"), .publication = BYTES("\x0a\x01x")}}},
    {"publication_bare", {.decoder = FW_ANY_PUBLICATION, .publication = {.ts = 0}}},
};

const fw_sample_t *fw_wire_samples(size_t *ret_count)
{
    *ret_count = COUNT(samples);
    return samples;
}
