/* fuzz_client_frame.c - any lines as the messages of a client, on a hub that answers.
 * SPDX-License-Identifier: MPL-2.0
 * The first byte chooses endpoint and mode. Whatever is said, what the session is sent must be
 * whole frames of JSON, its subscriptions must keep their limit, and nothing may be left over when
 * it goes. */
#include <stdlib.h>

#include <jansson.h>

#include "gateway/dialogue_rooms.h"
#include "gateway/gather.h"
#include "proto/utf8.h"

enum { CHANNELS_MAX = 5, MESSAGES_MAX = 64, EPOCH = 5, WALL_S = 1000000, END_MS = 100000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What an uplink would do: fences come back, every channel stands at offset 3, and replays bring
 * nothing. */
static void answer(fw_hub_t *hub)
{
    static uint64_t request;
    fw_topic_change_t change;
    uint32_t fence;
    while (fw_hub_next_change(hub, &change))
        ;
    while ((fence = fw_hub_next_fence(hub)) != 0)
        fw_hub_fenced(hub, fence);
    fw_channel_t *next = NULL;
    for (fw_channel_t *channel = fw_hub_first_needy(hub); channel; channel = next) {
        next = fw_hub_next_needy(hub, channel);
        unsigned needs = fw_sync_needs(&channel->sync);
        if (needs & FW_SYNC_NEEDS_POSITION) {
            fw_sync_position_asked(&channel->sync, ++request, 0);
            fw_hub_position(hub, channel, request, (fw_position_t){EPOCH, 3});
        } else if (needs & FW_SYNC_NEEDS_REPLAY) {
            fw_position_t since;
            uint32_t limit;
            fw_sync_replay_asked(&channel->sync, ++request, 0, &since, &limit);
            fw_sync_replay_t none = {.request_id = request, .reset = true, .visible = {EPOCH, 3}};
            fw_hub_replayed(hub, channel, &none);
        }
    }
}

/* Checks a piece of whole frames, each of one JSON object (a batch: one a line), or a ping. */
static void check_piece(fw_bytes_t piece)
{
    size_t i = 0;
    while (i < piece.size) {
        require(piece.size - i >= 2);
        size_t head = piece.data[i + 1] == 126 ? 4 : 2;
        require(piece.data[i] == 0x81 && piece.data[i + 1] < 127 && piece.size - i >= head);
        size_t size =
            head == 2 ? piece.data[i + 1] : (size_t)piece.data[i + 2] << 8 | piece.data[i + 3];
        require(piece.size - i - head >= size);
        json_t *object =
            json_loadb((const char *)piece.data + i + head, size, JSON_REJECT_DUPLICATES, NULL);
        require(json_is_object(object));
        json_decref(object);
        i += head + size;
    }
}

static void drain(fw_hub_t *hub, fw_gather_t *gather, fw_session_t *session)
{
    fw_output_t output;
    (void)fw_hub_marked(hub);
    while (fw_hub_next_marked(hub))
        ;
    while (fw_gather_next(gather, session, FW_GATHER_BYTES_MAX, &output))
        check_piece(output.bytes);
}

static void talk(const fw_dialogue_t *dialogue, fw_session_t *session, const fw_route_t *route,
                 fw_gather_t *gather, const uint8_t *data, size_t size)
{
    for (int i = 0; i < MESSAGES_MAX && size > 0; i++) {
        const uint8_t *end = memchr(data, '\n', size);
        fw_bytes_t line = {data, end ? (size_t)(end - data) : size};
        size -= end ? line.size + 1 : line.size;
        data += end ? line.size + 1 : line.size;
        if (!fw_utf8_valid(line))
            continue; /* closed before, with 1007 */
        fw_close_t outcome =
            fw_dialogue_message(dialogue, session, route, line, INT64_C(1000) * i, WALL_S);
        require(outcome.reason != NULL);
        require(session->count <= CHANNELS_MAX + 2);
        if (outcome.code != FW_CLOSE_NONE)
            return;
        answer(dialogue->hub);
        drain(dialogue->hub, gather, session);
    }
}

/* Whatever a client publishes is an event that the broker would take, and of its own user. */
static int pass(void *context, const fw_event_t *event)
{
    fw_refusal_t refusal;
    (void)context;
    require(fw_event_check(event, &refusal) == 0);
    require(event->client && fw_text_equal(event->user_id, FW_TEXT("ada")));
    require(event->audience_count == 1 && event->data.bytes.size <= 64);
    return 0;
}

static int keep_event(void *context, fw_session_t *session, const fw_event_t *event,
                      fw_text_t request_id)
{
    (void)session, (void)request_id;
    return pass(context, event);
}

/* A user who may do everything in rooms. */
static void sign_in(fw_session_t *session)
{
    static const fw_text_t all[] = {{"*", 1}};
    fw_claims_t *claims = NULL;
    fw_claims_terms_t terms = {.user = FW_TEXT("ada")};
    for (int i = 0; i < FW_ACTIONS; i++)
        terms.rooms[i] = (fw_claim_t){true, all, 1};
    require(fw_claims_new(&terms, &claims) == 0);
    fw_session_set_claims(session, &claims);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {"/ws", "/ws/notifications", "/ws/room/42", "/ws"};
    static const uint8_t secret[] = "a secret that is at least thirty-two bytes long";
    if (size == 0)
        return 0;
    fw_hub_limits_t limits = {.ring = {16, 65536}, .rings_bytes_max = 1 << 20, .linger_ms = 10};
    const fw_auth_policy_t policy = {.leeway_s = 0};
    const char *reason = "";
    fw_auth_t *auth = fw_auth_new(&policy);
    fw_keys_t *keys = fw_keys_new();
    require(fw_keys_add_secret(keys, FW_TEXT_NONE, (fw_bytes_t){secret, sizeof secret - 1},
                               &reason) == 0);
    fw_auth_set_fixed(auth, &keys);
    uint64_t refused = 0;
    fw_dialogue_t dialogue = {
        .hub = fw_hub_new(&limits),
        .auth = auth,
        .anonymous = true,
        .channels_max = CHANNELS_MAX,
        .refused = &refused,
        .resume_max = CHANNELS_MAX,
    };
    const struct fw_client_publish publish = {
        .per_second = 10, .bytes_max = 64, .keep = true, .pass = pass, .keep_event = keep_event};
    fw_rooms_t *rooms = fw_rooms_new(dialogue.hub);
    fw_hub_set_rooms(dialogue.hub, rooms);
    dialogue.rooms = rooms;
    dialogue.publish = &publish;
    fw_opening_t opening = {
        .route = fw_route_parse(FW_TEXT_NONE, fw_text(paths[data[0] & 3])),
        .subprotocol = data[0] & 4 ? FW_SUBPROTOCOL_OURS : FW_SUBPROTOCOL_NONE,
        .token = FW_TEXT_NONE,
        .origin = FW_TEXT_NONE,
    };
    fw_gather_t *gather = fw_gather_new(FW_ENCODING_JSON, data[0] & 8);
    fw_session_t *session = fw_session_new(NULL, 1);
    if (data[0] & 16)
        sign_in(session);
    fw_close_t opened = fw_dialogue_open(&dialogue, session, &opening, 0, WALL_S);
    answer(dialogue.hub);
    if (opened.code == FW_CLOSE_NONE)
        talk(&dialogue, session, &opening.route, gather, data + 1, size - 1);
    fw_hub_part(dialogue.hub, session, END_MS);
    require(fw_hub_counts(dialogue.hub)->subscriptions == 0);
    require(fw_roster_counts(fw_rooms_roster(rooms))->rooms == 0);
    fw_hub_tick(dialogue.hub, END_MS + 10);
    require(fw_hub_counts(dialogue.hub)->channels == 0);
    fw_session_destroy(&session);
    fw_gather_destroy(&gather);
    fw_hub_destroy(&dialogue.hub);
    fw_rooms_destroy(&rooms);
    fw_auth_destroy(&auth);
    return 0;
}
