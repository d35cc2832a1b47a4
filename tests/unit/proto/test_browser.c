/* test_browser.c - JSON and protobuf say the same to browsers and from them.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "freshwire/v1/browser.pb-c.h"
#include "proto/browser.h"
#include "proto/json_text.h"

typedef Freshwire__V1__ServerMessage server_t;
typedef Freshwire__V1__ClientMessage client_t;

/* ------ to the browser */

/* Encodes into memory of exactly the needed size; everything smaller writes nothing past it. */
static server_t *encode(const char *json, fw_payload_kind_t data)
{
    fw_bytes_t text = {(const uint8_t *)json, strlen(json)};
    size_t needed = fw_browser_encode(text, data, NULL, 0);
    assert_true(needed > 0);
    for (size_t size = needed > 40 ? needed - 40 : 0; size <= needed; size++) {
        uint8_t *exact = malloc(size + 1);
        assert_non_null(exact);
        exact[size] = 0xa5;
        assert_int_equal(fw_browser_encode(text, data, exact, size), needed);
        assert_int_equal(exact[size], 0xa5);
        if (size < needed) {
            free(exact);
            continue;
        }
        server_t *message = freshwire__v1__server_message__unpack(NULL, size, exact);
        free(exact);
        assert_non_null(message);
        return message;
    }
    return NULL;
}

static void drop(server_t *message)
{
    freshwire__v1__server_message__free_unpacked(message, NULL);
}

static void does_not_know_what_the_schema_does_not_know(void **state)
{
    (void)state;
    const char *const texts[] = {
        "{\"type\":\"fw.none\"}", "{\"type\":\"fw.\"}",       "", "[]", "{}",
        "{\"channel\":\"x\"}",    "{\"type\":\"fw.message\"}"};
    uint8_t buffer[64];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        fw_bytes_t text = {(const uint8_t *)texts[i], strlen(texts[i])};
        assert_int_equal(fw_browser_encode(text, FW_PAYLOAD_JSON, buffer, sizeof buffer), 0);
    }
}

static void an_event_with_json_keeps_its_data_as_it_was_written(void **state)
{
    (void)state;
    server_t *message =
        encode("{\"type\":\"chat.line\",\"data\":{\"a\":[1,{\"b\":\"}\\\"]\"}],\"n\":1e400},"
               "\"channel\":\"room:\xc3\xbc\\\"\\\\\",\"offset\":\"18446744073709551615\","
               "\"epoch\":\"a0\","
               "\"id\":\"i\\u00fc\\ud83d\\ude00\",\"ts\":-5,\"fresh\":\"12\",\"unconfirmed\":true,"
               "\"spread_ms\":250,\"origin\":\"tab\\n7\",\"user_id\":\"9\"}",
               FW_PAYLOAD_JSON);
    assert_int_equal(message->message_case, FRESHWIRE__V1__SERVER_MESSAGE__MESSAGE_EVENT);
    const Freshwire__V1__ChannelEvent *event = message->event;
    static const char data[] = "{\"a\":[1,{\"b\":\"}\\\"]\"}],\"n\":1e400}";
    assert_string_equal(event->type, "chat.line");
    assert_int_equal(event->data->kind_case, FRESHWIRE__V1__PAYLOAD__KIND_JSON);
    assert_int_equal(event->data->json.len, sizeof data - 1);
    assert_memory_equal(event->data->json.data, data, sizeof data - 1);
    assert_string_equal(event->channel, "room:\xc3\xbc\"\\");
    uint64_t epoch = 0;
    assert_int_equal(fw_epoch_parse(FW_TEXT("a0"), &epoch), 0);
    assert_true(event->position->epoch == epoch);
    assert_true(event->position->offset == UINT64_MAX);
    assert_string_equal(event->id, "i\xc3\xbc\xf0\x9f\x98\x80");
    assert_true(event->ts == -5);
    assert_true(event->fresh == 12);
    assert_true(event->unconfirmed);
    assert_int_equal(event->spread_ms, 250);
    assert_string_equal(event->origin, "tab\n7");
    assert_string_equal(event->user_id, "9");
    assert_false(event->client);
    drop(message);
}

static void data_keeps_its_kind(void **state)
{
    (void)state;
    server_t *message =
        encode("{\"type\":\"x\",\"data\":null,\"channel\":\"broadcast\"}", FW_PAYLOAD_NONE);
    assert_null(message->event->data);
    assert_null(message->event->position);
    drop(message);
    message = encode("{\"type\":\"x\",\"data\":\"AAEC/w==\"}", FW_PAYLOAD_BINARY);
    assert_int_equal(message->event->data->binary.len, 4);
    assert_memory_equal(message->event->data->binary.data, "\x00\x01\x02\xff", 4);
    drop(message);
    message = encode("{\"type\":\"x\",\"data\":\"\"}", FW_PAYLOAD_BINARY);
    assert_int_equal(message->event->data->kind_case, FRESHWIRE__V1__PAYLOAD__KIND_BINARY);
    assert_int_equal(message->event->data->binary.len, 0);
    drop(message);
    message = encode("{\"type\":\"team_updated\",\"data\":{\"id\":\"7\",\"member_ids\":[\"a\",\"\","
                     "\"b\\\"\"],\"version\":\"-3\"}}",
                     FW_PAYLOAD_TYPED);
    assert_int_equal(message->event->data->kind_case, FRESHWIRE__V1__PAYLOAD__KIND_TEAM_UPDATED);
    const Freshwire__V1__TeamUpdated *team = message->event->data->team_updated;
    assert_string_equal(team->id, "7");
    assert_int_equal(team->n_member_ids, 3);
    assert_string_equal(team->member_ids[1], "");
    assert_string_equal(team->member_ids[2], "b\"");
    assert_true(team->version == -3);
    drop(message);
    /* The type alone does not make it a typed one. */
    message = encode("{\"type\":\"team_updated\",\"data\":{\"id\":7}}", FW_PAYLOAD_JSON);
    assert_int_equal(message->event->data->kind_case, FRESHWIRE__V1__PAYLOAD__KIND_JSON);
    drop(message);
}

static void a_welcome_has_its_standings(void **state)
{
    (void)state;
    server_t *message = encode(
        "{\"type\":\"fw.welcome\",\"session_id\":\"00ff\",\"user_id\":\"9\",\"ping_interval_ms\":"
        "25000,"
        "\"reconnect_window_ms\":2000,\"subscriptions\":[{\"channel\":\"broadcast\",\"epoch\":"
        "\"0\","
        "\"offset\":\"0\",\"recovered\":false},{\"channel\":\"user:9\",\"epoch\":\"z0\",\"offset\":"
        "\"7\",\"recovered\":true}],\"degraded\":true}",
        FW_PAYLOAD_NONE);
    assert_int_equal(message->message_case, FRESHWIRE__V1__SERVER_MESSAGE__MESSAGE_WELCOME);
    const Freshwire__V1__ServerWelcome *welcome = message->welcome;
    assert_string_equal(welcome->session_id, "00ff");
    assert_int_equal(welcome->ping_interval_ms, 25000);
    assert_int_equal(welcome->n_subscriptions, 2);
    assert_string_equal(welcome->subscriptions[0]->channel, "broadcast");
    assert_non_null(welcome->subscriptions[0]->position);
    assert_true(welcome->subscriptions[1]->position->offset == 7);
    assert_true(welcome->subscriptions[1]->recovered);
    assert_true(welcome->degraded);
    drop(message);
}

/* Every member of the oneof, by the name of its JSON. */
static void every_message_of_the_schema_is_found_by_its_name(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *all = &freshwire__v1__server_message__descriptor;
    unsigned found = 0;
    for (unsigned i = 0; i < all->n_fields; i++) {
        const char *name = all->fields[i].name;
        char json[128];
        if (strcmp(name, "event") == 0 || strcmp(name, "batch") == 0)
            continue;
        (void)snprintf(json, sizeof json, "{\"type\":\"fw.%s\",\"channel\":\"room:1\",\"x\":{}}",
                       name);
        server_t *message = encode(json, FW_PAYLOAD_NONE);
        assert_int_equal(message->message_case, all->fields[i].id);
        drop(message);
        found++;
    }
    assert_int_equal(found, all->n_fields - 2);
}

static void lists_of_objects_may_hold_empty_ones(void **state)
{
    (void)state;
    server_t *message =
        encode("{\"type\":\"fw.presence\",\"channel\":\"room:1\",\"join\":[{\"user_id\":\"9\","
               "\"sessions\":2},{}],\"leave\":[]}",
               FW_PAYLOAD_NONE);
    assert_int_equal(message->presence->n_join, 2);
    assert_string_equal(message->presence->join[0]->user_id, "9");
    assert_int_equal(message->presence->join[0]->sessions, 2);
    assert_string_equal(message->presence->join[1]->user_id, "");
    assert_int_equal(message->presence->n_leave, 0);
    drop(message);
}

static fw_payload_kind_t kind_of(const char *word)
{
    if (strcmp(word, "json") == 0)
        return FW_PAYLOAD_JSON;
    if (strcmp(word, "binary") == 0)
        return FW_PAYLOAD_BINARY;
    return strcmp(word, "typed") == 0 ? FW_PAYLOAD_TYPED : FW_PAYLOAD_NONE;
}

/* The same file is read by tests in Python. */
static void the_bytes_are_those_of_the_vectors(void **state)
{
    (void)state;
    char line[4096];
    size_t count = 0;
    FILE *file = fopen(FW_BROWSER_VECTORS, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        char *json = strchr(line, '\t');
        if (line[0] == '#' || !json)
            continue;
        *json++ = '\0';
        char *hex = strchr(json, '\t');
        assert_non_null(hex);
        *hex++ = '\0';
        uint8_t bytes[1024];
        char text[2 * sizeof bytes + 1] = "";
        fw_bytes_t object = {(const uint8_t *)json, strlen(json)};
        size_t size = fw_browser_encode(object, kind_of(line), bytes, sizeof bytes);
        assert_in_range(size, 2, sizeof bytes);
        for (size_t i = 0; i < size; i++)
            (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
        hex[strcspn(hex, "\n")] = '\0';
        assert_string_equal(text, hex);
        count++;
    }
    (void)fclose(file);
    assert_int_equal(count, 19);
}

static void a_batch_is_heads_and_messages(void **state)
{
    (void)state;
    const char *const texts[] = {"{\"type\":\"fw.ping\"}",
                                 "{\"type\":\"fw.drain\",\"reconnect_window_ms\":2000}"};
    uint8_t elements[128];
    size_t size = 0;
    for (size_t i = 0; i < 2; i++) {
        uint8_t one[64];
        uint8_t head[FW_BROWSER_HEAD_SIZE_MAX];
        fw_bytes_t text = {(const uint8_t *)texts[i], strlen(texts[i])};
        size_t one_size = fw_browser_encode(text, FW_PAYLOAD_NONE, one, sizeof one);
        size_t head_size = fw_browser_element_head(one_size, head);
        memcpy(elements + size, head, head_size);
        memcpy(elements + size + head_size, one, one_size);
        size += head_size + one_size;
    }
    uint8_t whole[160];
    size_t head_size = fw_browser_batch_head(size, whole);
    memcpy(whole + head_size, elements, size);
    server_t *message = freshwire__v1__server_message__unpack(NULL, head_size + size, whole);
    assert_non_null(message);
    assert_int_equal(message->batch->n_messages, 2);
    assert_int_equal(message->batch->messages[1]->drain->reconnect_window_ms, 2000);
    drop(message);
}

/* ------ from the browser */

typedef struct {
    uint8_t bytes[1024];
    size_t size;
} packed_t;

static packed_t pack(const client_t *message)
{
    packed_t packed = {.size = freshwire__v1__client_message__get_packed_size(message)};
    assert_true(packed.size <= sizeof packed.bytes);
    (void)freshwire__v1__client_message__pack(message, packed.bytes);
    return packed;
}

static void assert_decodes(const client_t *message, const char *expected)
{
    fw_codec_t *codec = fw_codec_new();
    packed_t packed = pack(message);
    fw_bytes_t json;
    fw_refusal_t refusal;
    assert_int_equal(
        fw_browser_decode(codec, (fw_bytes_t){packed.bytes, packed.size}, &json, &refusal), 0);
    json_t *got = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, NULL);
    json_t *wanted = json_loads(expected, 0, NULL);
    assert_non_null(wanted);
    if (!got || !json_equal(got, wanted))
        fail_msg("%.*s instead of %s", (int)json.size, (const char *)json.data, expected);
    json_decref(got);
    json_decref(wanted);
    fw_codec_destroy(&codec);
}

static void assert_refused(fw_bytes_t data, int result, const char *field)
{
    fw_codec_t *codec = fw_codec_new();
    fw_bytes_t json;
    fw_refusal_t refusal;
    assert_int_equal(fw_browser_decode(codec, data, &json, &refusal), result);
    assert_string_equal(refusal.field, field);
    fw_codec_destroy(&codec);
}

static void refuses_what_is_no_message_of_a_client(void **state)
{
    (void)state;
    static const uint8_t nothing[1];
    static uint8_t request[80] = {0x1a, 67, 0x0a, 65};
    static const uint8_t text[] = "{\"type\":\"fw.ping\"}";
    static const uint8_t twice[] = {0x22, 0, 0x2a, 0};
    static const uint8_t unknown[] = {0x7a, 0};
    assert_refused((fw_bytes_t){nothing, 0}, -EBADMSG, "message");
    assert_refused((fw_bytes_t){text, sizeof text - 1}, -EBADMSG, "message");
    assert_refused((fw_bytes_t){unknown, sizeof unknown}, -EBADMSG, "message");
    assert_refused((fw_bytes_t){twice, sizeof twice}, -EBADMSG, "pong");
    memset(request + 4, 'x', 65);
    assert_refused((fw_bytes_t){request, 69}, -EMSGSIZE, "unsubscribe.request_id");
}

static void refuses_data_that_is_not_one_json_value(void **state)
{
    (void)state;
    static uint8_t bad[] = "{},\"keep\":true";
    Freshwire__V1__ClientPublish publish;
    freshwire__v1__client_publish__init(&publish);
    publish.data = (ProtobufCBinaryData){.len = sizeof bad - 1, .data = bad};
    client_t message;
    freshwire__v1__client_message__init(&message);
    message.message_case = FRESHWIRE__V1__CLIENT_MESSAGE__MESSAGE_PUBLISH;
    message.publish = &publish;
    packed_t packed = pack(&message);
    assert_refused((fw_bytes_t){packed.bytes, packed.size}, -EBADMSG, "data");
}

static void a_hello_becomes_the_one_of_json(void **state)
{
    (void)state;
    char token[] = "a.b\"c";
    char channel[] = "room:1";
    char other[] = "broadcast";
    Freshwire__V1__Position position;
    freshwire__v1__position__init(&position);
    Freshwire__V1__ClientSubscription first;
    freshwire__v1__client_subscription__init(&first);
    Freshwire__V1__ClientSubscription second;
    freshwire__v1__client_subscription__init(&second);
    Freshwire__V1__ClientSubscription empty;
    freshwire__v1__client_subscription__init(&empty);
    Freshwire__V1__ClientSubscription *subscriptions[] = {&first, &second, &empty};
    Freshwire__V1__ClientHello hello;
    freshwire__v1__client_hello__init(&hello);
    client_t message;
    freshwire__v1__client_message__init(&message);
    char epoch[FW_EPOCH_TEXT_SIZE_MAX + 1];
    char expected[512];
    position.epoch = 12345;
    position.offset = UINT64_MAX;
    first.channel = channel;
    first.position = &position;
    first.presence = true;
    second.channel = other;
    hello.token = token;
    hello.batch = true;
    hello.n_subscriptions = 3;
    hello.subscriptions = subscriptions;
    message.message_case = FRESHWIRE__V1__CLIENT_MESSAGE__MESSAGE_HELLO;
    message.hello = &hello;
    (void)fw_epoch_format(position.epoch, epoch);
    (void)snprintf(
        expected, sizeof expected,
        "{\"type\":\"fw.hello\",\"token\":\"a.b\\\"c\",\"batch\":true,\"subscriptions\":["
        "{\"channel\":\"room:1\",\"epoch\":\"%s\",\"offset\":\"18446744073709551615\","
        "\"presence\":true},{\"channel\":\"broadcast\"},{}]}",
        epoch);
    assert_decodes(&message, expected);
}

static void what_a_client_publishes_is_spliced_in(void **state)
{
    (void)state;
    static uint8_t data[] = " [1,2]\n";
    char channel[] = "room:1";
    char event[] = "typing";
    Freshwire__V1__ClientPublish publish;
    freshwire__v1__client_publish__init(&publish);
    client_t message;
    freshwire__v1__client_message__init(&message);
    publish.channel = channel;
    publish.event = event;
    publish.data = (ProtobufCBinaryData){.len = sizeof data - 1, .data = data};
    message.message_case = FRESHWIRE__V1__CLIENT_MESSAGE__MESSAGE_PUBLISH;
    message.publish = &publish;
    assert_decodes(&message, "{\"type\":\"fw.publish\",\"channel\":\"room:1\",\"event\":\"typing\","
                             "\"data\":[1,2]}");
}

static void messages_without_members_have_a_type_only(void **state)
{
    (void)state;
    Freshwire__V1__ClientPing ping;
    freshwire__v1__client_ping__init(&ping);
    client_t message;
    freshwire__v1__client_message__init(&message);
    message.message_case = FRESHWIRE__V1__CLIENT_MESSAGE__MESSAGE_PING;
    message.ping = &ping;
    assert_decodes(&message, "{\"type\":\"fw.ping\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_not_know_what_the_schema_does_not_know),
        cmocka_unit_test(an_event_with_json_keeps_its_data_as_it_was_written),
        cmocka_unit_test(data_keeps_its_kind),
        cmocka_unit_test(a_welcome_has_its_standings),
        cmocka_unit_test(every_message_of_the_schema_is_found_by_its_name),
        cmocka_unit_test(lists_of_objects_may_hold_empty_ones),
        cmocka_unit_test(the_bytes_are_those_of_the_vectors),
        cmocka_unit_test(a_batch_is_heads_and_messages),
        cmocka_unit_test(refuses_what_is_no_message_of_a_client),
        cmocka_unit_test(refuses_data_that_is_not_one_json_value),
        cmocka_unit_test(a_hello_becomes_the_one_of_json),
        cmocka_unit_test(what_a_client_publishes_is_spliced_in),
        cmocka_unit_test(messages_without_members_have_a_type_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
