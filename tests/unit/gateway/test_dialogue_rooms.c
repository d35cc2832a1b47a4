/* test_dialogue_rooms.c - who may see whom, and what clients may publish. SPDX-License-Identifier:
 * MPL-2.0 */
#include "tests/unit/gateway/dialogue_fixture.h"

#include <errno.h>

#include "gateway/dialogue_rooms.h"

#define ADA "{\"sub\":\"ada\",\"presence\":[\"1\"],\"publish\":[\"1\"]}"
#define ROOM_1 ",\"subscriptions\":[{\"channel\":\"room:1\"}]"
#define WATCHED ",\"subscriptions\":[{\"channel\":\"room:1\",\"presence\":true}]"

typedef struct {
    stage_t stage;
    fw_rooms_t *rooms;
    struct fw_client_publish publish;
    int result;
    char passed[512]; /* "type user origin data" */
    char kept[512];
} party_t;

static int take(char *to, int result, const fw_event_t *event)
{
    assert_true(event->client && event->audience_count == 1);
    assert_true(event->invalidate.keys_count + event->invalidate.tags_count == 0);
    (void)snprintf(to, 512, "%s %s %s %.*s", event->type.text, event->user_id.text,
                   event->origin.text, (int)event->data.bytes.size, event->data.bytes.data);
    return result;
}

static int pass(void *context, const fw_event_t *event)
{
    party_t *party = context;
    return take(party->passed, party->result, event);
}

static int keep_event(void *context, fw_session_t *session, const fw_event_t *event,
                      fw_text_t request_id)
{
    party_t *party = context;
    assert_ptr_equal(session, party->stage.session);
    assert_string_equal(request_id.text, "k");
    return take(party->kept, party->result, event);
}

static void party_begin(party_t *party)
{
    static const char *const types[] = {"typing", "cursor_*"};
    *party = (party_t){.stage = stage_new()};
    party->rooms = fw_rooms_new(party->stage.scene.hub);
    fw_hub_set_rooms(party->stage.scene.hub, party->rooms);
    party->publish = (struct fw_client_publish){.per_second = 4,
                                                .bytes_max = 32,
                                                .types = types,
                                                .types_count = 2,
                                                .context = party,
                                                .pass = pass,
                                                .keep_event = keep_event};
    party->stage.dialogue.rooms = party->rooms;
    party->stage.dialogue.publish = &party->publish;
}

static void party_end(party_t *party)
{
    stage_end(&party->stage);
    fw_rooms_destroy(&party->rooms);
}

static const char *enter(party_t *party, const char *claims, const char *more)
{
    (void)open_with(&party->stage, "/ws", FW_SUBPROTOCOL_OURS, NULL);
    assert_int_equal(hello(&party->stage, claims, more).code, FW_CLOSE_NONE);
    return sent(&party->stage);
}

static const char *say_and_hear(party_t *party, const char *text)
{
    assert_int_equal(say(&party->stage, text).code, FW_CLOSE_NONE);
    return sent(&party->stage);
}

static void presence_needs_its_claim_and_a_room(void **state)
{
    (void)state;
    const struct {
        const char *claims, *more, *error;
    } cases[] = {
        {"{\"sub\":\"bob\"}", WATCHED, "\"code\":4403"},
        {"{\"sub\":\"bob\",\"presence\":[\"2\"]}", WATCHED, "\"code\":4403"},
        {"{\"sub\":\"bob\",\"presence\":[\"*\"]}",
         ",\"subscriptions\":[{\"channel\":\"broadcast\",\"presence\":true}]", "\"code\":4400"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        party_t party;
        party_begin(&party);
        const char *answer = enter(&party, cases[i].claims, cases[i].more);
        assert_non_null(strstr(answer, cases[i].error));
        assert_non_null(strstr(answer, "\"action\":\"presence\""));
        assert_non_null(strstr(answer, "\"temporary\":false"));
        assert_null(strstr(answer, "request_id"));
        assert_non_null(strstr(answer, "\"type\":\"fw.welcome\""));
        assert_int_equal(fw_roster_counts(fw_rooms_roster(party.rooms))->users, 0);
        party_end(&party);
    }
}

static void who_has_the_claim_is_seen_also_without_watching(void **state)
{
    (void)state;
    party_t party;
    party_begin(&party);
    const fw_roster_counts_t *counts = fw_roster_counts(fw_rooms_roster(party.rooms));
    assert_null(strstr(enter(&party, ADA, ROOM_1), "fw.error"));
    assert_int_equal(counts->users, 1);
    (void)say_and_hear(&party, "{\"type\":\"fw.unsubscribe\",\"channel\":\"room:1\"}");
    assert_int_equal(counts->users, 0);
    party_end(&party);
}

static void a_watcher_gets_the_list_and_then_its_changes(void **state)
{
    (void)state;
    party_t party;
    fw_presence_request_t request;
    fw_presence_report_t report;
    party_begin(&party);
    fw_roster_t *roster = fw_rooms_roster(party.rooms);
    (void)enter(&party, ADA, WATCHED);
    fw_roster_linked(roster);
    assert_true(fw_roster_next_report(roster, 5000, &report));
    assert_true(report.begin && report.complete && report.rooms_count == 1);
    assert_true(fw_roster_next_question(roster, 5000, 7, &request));
    assert_int_equal(request.rooms_count, 1);
    const fw_room_member_t bob = {FW_TEXT("bob"), 2, false};
    fw_presence_reply_t reply = {.request_id = 6,
                                 .channel = FW_TEXT("room:1"),
                                 .epoch = 9,
                                 .version = 20,
                                 .count = 1,
                                 .members = &bob,
                                 .members_count = 1};
    fw_roster_answered(roster, &reply, 5000); /* not what was asked */
    assert_string_equal(sent(&party.stage), "");
    reply.request_id = 7;
    fw_roster_answered(roster, &reply, 5000);
    assert_string_equal(
        sent(&party.stage),
        "{\"type\":\"fw.presence\",\"channel\":\"room:1\",\"members\":[{\"user_id\":"
        "\"bob\",\"sessions\":2}],\"snapshot\":true}\n");
    const fw_room_member_t changes[] = {{FW_TEXT("ada"), 1, false}, {FW_TEXT("bob"), 0, true}};
    fw_presence_diff_t step = {.epoch = 9,
                               .previous = 20,
                               .version = 21,
                               .count = 1,
                               .changes = changes,
                               .changes_count = 2};
    fw_roster_step(roster, FW_TEXT("room:1"), &step);
    fw_roster_step(roster, FW_TEXT("room:1"), &step); /* twice is once */
    assert_string_equal(
        sent(&party.stage),
        "{\"type\":\"fw.presence\",\"channel\":\"room:1\",\"join\":[{\"user_id\":"
        "\"ada\",\"sessions\":1}],\"leave\":[{\"user_id\":\"bob\",\"sessions\":0}]}\n");
    step.previous = 30;
    step.version = 31;
    fw_roster_step(roster, FW_TEXT("room:1"), &step);
    assert_string_equal(sent(&party.stage), "");
    assert_int_equal(fw_roster_counts(roster)->gaps, 1);
    (void)say_and_hear(&party,
                       "{\"type\":\"fw.subscribe\",\"channel\":\"room:1\",\"presence\":false}");
    step.previous = 21;
    fw_roster_step(roster, FW_TEXT("room:1"), &step);
    assert_string_equal(sent(&party.stage), "");
    party_end(&party);
}

static void what_may_not_be_published_is_answered_with_its_code(void **state)
{
    (void)state;
    const struct {
        const char *message, *code;
    } cases[] = {
        {"\"channel\":\"broadcast\",\"event\":\"typing\"", "4400"},
        {"\"channel\":\"room:2\",\"event\":\"typing\"", "4403"},
        {"\"channel\":\"room:1\",\"event\":\"project_deleted\"", "4403"},
        {"\"channel\":\"room:1\",\"event\":\"fw.reset\"", "4403"},
        {"\"channel\":\"room:1\",\"event\":\"cursor_\\u00e9\"", "4400"},
        {"\"channel\":\"room:1\",\"event\":\"typing\",\"data\":\"0123456789012345678901234567890\"",
         "4400"},
        {"\"channel\":\"room:1\",\"event\":\"typing\",\"keep\":true", "4403"},
        {"\"channel\":\"room:1\",\"event\":\"\"", "4400"},
        {"\"channel\":\"room:1\",\"event\":\"typing\",\"keep\":1", "4400"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        party_t party;
        char text[512];
        party_begin(&party);
        (void)enter(&party, ADA, ROOM_1);
        (void)snprintf(text, sizeof text, "{\"type\":\"fw.publish\",\"request_id\":\"p\",%s}",
                       cases[i].message);
        const char *answer = say_and_hear(&party, text);
        if (!strstr(answer, "\"type\":\"fw.error\",\"request_id\":\"p\"") ||
            !strstr(answer, cases[i].code) || !strstr(answer, "\"temporary\":false"))
            fail_msg("%s: %s", cases[i].message, answer);
        assert_string_equal(party.passed, "");
        assert_string_equal(party.kept, "");
        party_end(&party);
    }
}

static void an_event_carries_the_user_of_the_token(void **state)
{
    (void)state;
    party_t party;
    party_begin(&party);
    (void)enter(&party, ADA, ",\"origin\":\"tab-7\"" ROOM_1);
    assert_string_equal(
        say_and_hear(&party, "{\"type\":\"fw.publish\",\"request_id\":\"p\",\"channel\":\"room:1\","
                             "\"event\":\"typing\",\"data\":{ \"on\" : true },\"user_id\":\"eve\","
                             "\"origin\":\"tab-8\"}"),
        "{\"type\":\"fw.published\",\"request_id\":\"p\"}\n");
    assert_string_equal(party.passed, "typing ada tab-7 {\"on\":true}");
    party.publish.keep = true;
    assert_string_equal(
        say_and_hear(&party, "{\"type\":\"fw.publish\",\"request_id\":\"k\",\"channel\":\"room:1\","
                             "\"event\":\"cursor_x\",\"data\":1,\"keep\":true}"),
        "");
    assert_string_equal(party.kept, "cursor_x ada tab-7 1");
    party_end(&party);
}

static void too_many_or_no_broker_is_temporary(void **state)
{
    (void)state;
    static const char text[] =
        "{\"type\":\"fw.publish\",\"channel\":\"room:1\",\"event\":\"typing\"}";
    party_t party;
    party_begin(&party);
    (void)enter(&party, ADA, ROOM_1);
    party.result = -ENOTCONN;
    assert_non_null(strstr(say_and_hear(&party, text), "\"code\":4290"));
    party.result = 0;
    for (int i = 1; i < 8; i++)
        assert_string_equal(say_and_hear(&party, text), "");
    const char *answer = say_and_hear(&party, text);
    assert_non_null(strstr(answer, "\"code\":4290"));
    assert_non_null(strstr(answer, "\"temporary\":true"));
    party.publish.per_second = 0;
    assert_non_null(strstr(say_and_hear(&party, text), "\"code\":4403"));
    party_end(&party);
}

static void an_ephemeral_event_reaches_all_who_listen(void **state)
{
    (void)state;
    party_t party;
    fw_refusal_t refusal;
    party_begin(&party);
    (void)enter(&party, "{\"sub\":\"bob\"}", ROOM_1);
    fw_codec_t *codec = fw_codec_new();
    fw_event_t event = {.type = FW_TEXT("typing"),
                        .data = {.kind = FW_PAYLOAD_JSON, .bytes = bytes_of("7")},
                        .user_id = FW_TEXT("ada"),
                        .ts = 5,
                        .client = true};
    fw_note_t note = {.channel = FW_TEXT("room:1"),
                      .publication = fw_codec_encode_publication(codec, &event)};
    assert_int_equal(fw_rooms_note(party.rooms, &note, codec, 1, &refusal), 0);
    assert_string_equal(
        sent(&party.stage),
        "{\"type\":\"typing\",\"data\":7,\"channel\":\"room:1\",\"ts\":5,\"user_id\":"
        "\"ada\",\"client\":true,\"ephemeral\":true}\n");
    note.channel = FW_TEXT("room:other");
    assert_int_equal(fw_rooms_note(party.rooms, &note, codec, 1, &refusal), 0);
    note = (fw_note_t){.channel = FW_TEXT("room:1"), .publication = bytes_of("\xff")};
    assert_true(fw_rooms_note(party.rooms, &note, codec, 1, &refusal) < 0);
    assert_string_equal(sent(&party.stage), "");
    fw_codec_destroy(&codec);
    party_end(&party);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presence_needs_its_claim_and_a_room),
        cmocka_unit_test(who_has_the_claim_is_seen_also_without_watching),
        cmocka_unit_test(a_watcher_gets_the_list_and_then_its_changes),
        cmocka_unit_test(what_may_not_be_published_is_answered_with_its_code),
        cmocka_unit_test(an_event_carries_the_user_of_the_token),
        cmocka_unit_test(too_many_or_no_broker_is_temporary),
        cmocka_unit_test(an_ephemeral_event_reaches_all_who_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
