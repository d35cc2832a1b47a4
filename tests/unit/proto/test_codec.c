/* test_codec.c - every message survives the wire, and what is no message is refused by name.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/channel.h"
#include "tests/support/wire_samples.h"
#include "tests/support/wire_writer.h"

static int set_up(void **state)
{
    *state = fw_codec_new();
    return 0;
}

static int tear_down(void **state)
{
    fw_codec_t *codec = *state;
    fw_codec_destroy(&codec);
    assert_null(codec);
    return 0;
}

static const fw_any_t *sample(const char *name)
{
    size_t count;
    const fw_sample_t *samples = fw_wire_samples(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(samples[i].name, name) == 0)
            return &samples[i].any;
    fail_msg("no sample %s", name);
    return NULL;
}

/* Decodes what was written and expects a refusal. */
static void assert_refused(fw_codec_t *codec, int decoder, fw_wire_t *wire, int result,
                           const char *field, const char *reason)
{
    fw_any_t any;
    fw_refusal_t refusal = {0};
    assert_int_equal(fw_any_decode(codec, decoder, fw_wire_view(wire), &any, &refusal), result);
    assert_string_equal(refusal.field, field);
    assert_string_equal(refusal.reason, reason);
    fw_wire_clear(wire);
}

static void refuses_an_envelope_without_a_message(void **state)
{
    for (int link = FW_LINK_PUBLISHER_UP; link <= FW_LINK_GATEWAY_DOWN; link++) {
        fw_wire_t wire = fw_wire_new(1);
        assert_refused(*state, link, &wire, -EPROTO, "message", "is empty or of an unknown kind");
    }
}

static void refuses_a_message_that_this_version_does_not_know(void **state)
{
    for (int link = FW_LINK_PUBLISHER_UP; link <= FW_LINK_GATEWAY_DOWN; link++) {
        fw_wire_t wire = fw_wire_new(16);
        fw_wire_text(&wire, 15, "new");
        assert_refused(*state, link, &wire, -EPROTO, "message", "is empty or of an unknown kind");
    }
}

static void refuses_a_message_of_another_link(void **state)
{
    fw_any_t any = *sample("worker_down_job");
    fw_refusal_t refusal;
    fw_bytes_t frame = fw_any_encode(*state, &any);
    /* Field 2 is a Publish there and a Job here. */
    assert_int_equal(fw_any_decode(*state, FW_LINK_PUBLISHER_UP, frame, &any, &refusal), -EMSGSIZE);
    assert_string_equal(refusal.field, "publish.incarnation");
}

static void refuses_a_publish_without_an_event(void **state)
{
    fw_wire_t wire = fw_wire_new(16);
    fw_wire_text(&wire, 2, "\x08\x07");
    assert_refused(*state, FW_LINK_PUBLISHER_UP, &wire, -EPROTO, "event", "is missing");
}

static void refuses_values_outside_their_enumeration(void **state)
{
    fw_wire_t wire = fw_wire_new(32);
    fw_wire_bytes(&wire, 2, FW_WIRE_BYTES("\x10\x09\x2a\x00")); /* level 9, an empty event */
    assert_refused(*state, FW_LINK_PUBLISHER_UP, &wire, -EPROTO, "publish.level", "is not a level");

    wire = fw_wire_new(32); /* -1 */
    fw_wire_text(&wire, 2, "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    assert_refused(*state, FW_LINK_PUBLISHER_DOWN, &wire, -EPROTO, "ack.status", "is not a status");

    wire = fw_wire_new(32);
    fw_wire_text(&wire, 2, "\x18\x06");
    assert_refused(*state, FW_LINK_PUBLISHER_DOWN, &wire, -EPROTO, "ack.status", "is not a status");

    wire = fw_wire_new(32);
    fw_wire_text(&wire, 3, "\x18\x04");
    assert_refused(*state, FW_LINK_GATEWAY_DOWN, &wire, -EPROTO, "replay.status",
                   "is not a status");
}

static void refuses_statuses_that_are_left_out(void **state)
{
    fw_wire_t wire = fw_wire_new(32);
    fw_wire_text(&wire, 2, "");
    assert_refused(*state, FW_LINK_PUBLISHER_DOWN, &wire, -EPROTO, "ack.status", "is not a status");
    wire = fw_wire_new(32);
    fw_wire_text(&wire, 3, "");
    assert_refused(*state, FW_LINK_GATEWAY_DOWN, &wire, -EPROTO, "replay.status",
                   "is not a status");
}

static void refuses_an_incarnation_that_is_not_sixteen_bytes(void **state)
{
    const struct {
        int decoder;
        uint32_t envelope, field;
        const char *path;
    } rows[] = {
        {FW_LINK_PUBLISHER_UP, 1, 3, "hello.incarnation"},
        {FW_LINK_WORKER_UP, 1, 3, "hello.incarnation"},
        {FW_LINK_GATEWAY_DOWN, 1, 2, "welcome.incarnation"},
        {FW_ANY_BEACON, 0, 1, "incarnation"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t size = 0; size < FW_INCARNATION_SIZE; size += 5) {
            fw_wire_t inner = fw_wire_new(64), wire = fw_wire_new(64);
            fw_wire_bytes(&inner, rows[i].field,
                          (fw_bytes_t){(const uint8_t *)"123456789abcdef", size});
            if (rows[i].envelope)
                fw_wire_bytes(&wire, rows[i].envelope, fw_wire_view(&inner));
            else
                fw_wire_raw(&wire, inner.bytes, inner.size);
            fw_wire_clear(&inner);
            assert_refused(*state, rows[i].decoder, &wire, -EPROTO, rows[i].path,
                           "must be 16 bytes");
        }
    }
}

static void refuses_a_publish_incarnation_that_is_neither_absent_nor_sixteen_bytes(void **state)
{
    fw_wire_t wire = fw_wire_new(32);
    fw_wire_bytes(&wire, 2, FW_WIRE_BYTES("\x22\x02xy\x2a\x00"));
    assert_refused(*state, FW_LINK_PUBLISHER_UP, &wire, -EPROTO, "publish.incarnation",
                   "must be 16 bytes");
}

static void refuses_a_delivery_without_a_place(void **state)
{
    static const char *const positions[] = {"", "\x32\x01x", "\x12\x02\x08\x07",
                                            "\x12\x02\x10\x07"};
    for (size_t i = 0; i < 4; i++) {
        fw_wire_t wire = fw_wire_new(16), reply = fw_wire_new(32), envelope = fw_wire_new(64);
        fw_wire_raw(&wire, positions[i], strlen(positions[i]));
        fw_wire_text(&reply, 5, "\x12\x04\x08\x07\x10\x01");
        fw_wire_bytes(&reply, 5, fw_wire_view(&wire));
        fw_wire_number(&reply, 3, FW_REPLAY_COMPLETE);
        fw_wire_bytes(&envelope, 3, fw_wire_view(&reply));
        fw_wire_clear(&reply);
        assert_refused(*state, FW_ANY_DELIVERY, &wire, -EPROTO, "position", "is missing");
        assert_refused(*state, FW_LINK_GATEWAY_DOWN, &envelope, -EPROTO,
                       "replay.deliveries[1].position", "is missing");
    }
}

static void leaves_the_result_alone_when_it_refuses(void **state)
{
    fw_message_t message = {.kind = FW_MESSAGE_PING, .number = 77};
    fw_refusal_t refusal;
    fw_bytes_t bad = {(const uint8_t *)"\x12\x00", 2};
    assert_int_equal(fw_codec_decode(*state, FW_LINK_PUBLISHER_UP, bad, &message, &refusal),
                     -EPROTO);
    assert_int_equal(message.kind, FW_MESSAGE_PING);
    assert_int_equal(message.number, 77);
}

static void reads_the_request_id_of_a_refused_publish(void **state)
{
    fw_wire_t publish = fw_wire_new(256), wire = fw_wire_new(256);
    fw_message_t message;
    fw_refusal_t refusal;
    fw_wire_number(&publish, 1, UINT64_MAX - 1);
    fw_wire_text(&publish, 5, "\x0a\x01\xff");
    fw_wire_bytes(&wire, 2, fw_wire_view(&publish));
    assert_int_equal(
        fw_codec_decode(*state, FW_LINK_PUBLISHER_UP, fw_wire_view(&wire), &message, &refusal),
        -EBADMSG);
    assert_string_equal(refusal.field, "id");
    assert_true(fw_codec_refused_request(fw_wire_view(&wire)) == UINT64_MAX - 1);
    fw_wire_clear(&wire);
    fw_wire_clear(&publish);
}

static void reads_no_request_id_from_what_is_not_a_publish(void **state)
{
    static const char *const frames[] = {"",
                                         "\x12",
                                         "\x12\x7f\x08\x01",
                                         "\x0a\x02\x08\x01",
                                         "\x10\x01",
                                         "\x12\x02\x0a\x01",
                                         "\xff\xff\xff"};
    (void)state;
    assert_int_equal(fw_codec_refused_request((fw_bytes_t){NULL, 0}), 0);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        fw_bytes_t frame = {(const uint8_t *)frames[i], strlen(frames[i])};
        assert_int_equal(fw_codec_refused_request(frame), 0);
    }
}

static void cuts_the_words_of_a_longer_refusal_between_characters(void **state)
{
    fw_wire_t refusal = fw_wire_new(2048), wire = fw_wire_new(2048);
    fw_message_t message;
    fw_refusal_t unused;
    char reason[1000];
    for (size_t i = 0; i < sizeof reason; i += 2)
        reason[i] = '\xc3', reason[i + 1] = '\xbc';
    fw_wire_bytes(&refusal, 2, (fw_bytes_t){(const uint8_t *)reason, sizeof reason});
    fw_wire_bytes(&wire, 5, fw_wire_view(&refusal));
    assert_int_equal(
        fw_codec_decode(*state, FW_LINK_PUBLISHER_DOWN, fw_wire_view(&wire), &message, &unused), 0);
    assert_int_equal(strlen(message.refusal.reason), sizeof message.refusal.reason - 2);
    assert_memory_equal(message.refusal.reason, reason, sizeof message.refusal.reason - 2);
    fw_wire_clear(&wire);
    fw_wire_clear(&refusal);
}

static void makes_the_words_of_others_fit_to_be_sent(void **state)
{
    char reason[600];
    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    memcpy(reason, "ERR \xff", 5);
    fw_message_t message = {.kind = FW_MESSAGE_JOB_FAILED, .failed = {1, true, fw_text(reason)}};
    fw_refusal_t refusal;
    fw_bytes_t frame = fw_codec_encode(*state, FW_LINK_WORKER_UP, &message);
    assert_int_equal(fw_codec_decode(*state, FW_LINK_WORKER_UP, frame, &message, &refusal), 0);
    assert_int_equal(message.failed.reason.size, FW_REASON_SIZE_MAX);
    assert_memory_equal(message.failed.reason.text, "ERR ?xxx", 8);
}

static void keeps_every_field_of_every_sample(void **state)
{
    size_t count;
    const fw_sample_t *samples = fw_wire_samples(&count);
    for (size_t i = 0; i < count; i++) {
        fw_any_t any;
        fw_refusal_t refusal;
        fw_bytes_t frame = fw_any_encode(*state, &samples[i].any);
        if (fw_any_decode(*state, samples[i].any.decoder, frame, &any, &refusal) != 0)
            fail_msg("%s: %s %s", samples[i].name, refusal.field, refusal.reason);
        if (!fw_any_equal(&samples[i].any, &any))
            fail_msg("%s has changed", samples[i].name);
    }
}

static void has_a_sample_of_every_message_on_every_link(void **state)
{
    static const unsigned expected[] = {
        [FW_LINK_PUBLISHER_UP] = 1 << FW_MESSAGE_HELLO | 1 << FW_MESSAGE_PUBLISH |
                                 1 << FW_MESSAGE_PING | 1 << FW_MESSAGE_FIRE_MARK,
        [FW_LINK_PUBLISHER_DOWN] = 1 << FW_MESSAGE_WELCOME | 1 << FW_MESSAGE_PUBLISH_ACK |
                                   1 << FW_MESSAGE_PONG | 1 << FW_MESSAGE_REFUSAL |
                                   1 << FW_MESSAGE_FIRE_MISSING,
        [FW_LINK_WORKER_UP] = 1 << FW_MESSAGE_HELLO | 1 << FW_MESSAGE_JOB_DONE |
                              1 << FW_MESSAGE_JOBS_DONE | 1 << FW_MESSAGE_JOB_FAILED |
                              1 << FW_MESSAGE_PING,
        [FW_LINK_WORKER_DOWN] = 1 << FW_MESSAGE_WELCOME | 1 << FW_MESSAGE_JOB |
                                1 << FW_MESSAGE_JOBS | 1 << FW_MESSAGE_PONG |
                                1 << FW_MESSAGE_REFUSAL,
        [FW_LINK_GATEWAY_UP] = 1 << FW_MESSAGE_HELLO | 1 << FW_MESSAGE_POSITIONS_REQUEST |
                               1 << FW_MESSAGE_REPLAY_REQUEST | 1 << FW_MESSAGE_PING |
                               1 << FW_MESSAGE_PRESENCE_REPORT | 1 << FW_MESSAGE_PRESENCE_REQUEST |
                               1 << FW_MESSAGE_CLIENT_NOTE | 1 << FW_MESSAGE_SESSION_COMMAND |
                               1 << FW_MESSAGE_SESSION_DONE,
        [FW_LINK_GATEWAY_DOWN] = 1 << FW_MESSAGE_WELCOME | 1 << FW_MESSAGE_POSITIONS_REPLY |
                                 1 << FW_MESSAGE_REPLAY_REPLY | 1 << FW_MESSAGE_PONG |
                                 1 << FW_MESSAGE_REFUSAL | 1 << FW_MESSAGE_PRESENCE_ACK |
                                 1 << FW_MESSAGE_PRESENCE_REPLY | 1 << FW_MESSAGE_SESSION_COMMAND |
                                 1 << FW_MESSAGE_SESSION_RESULT,
    };
    unsigned seen[FW_ANY_COUNT] = {0};
    size_t count;
    const fw_sample_t *samples = fw_wire_samples(&count);
    (void)state;
    for (size_t i = 0; i < count; i++)
        seen[samples[i].any.decoder] |=
            samples[i].any.decoder < FW_ANY_DELIVERY ? 1U << samples[i].any.message.kind : 1U;
    for (int link = FW_LINK_PUBLISHER_UP; link <= FW_LINK_GATEWAY_DOWN; link++)
        assert_int_equal(seen[link], expected[link] | 1 << FW_MESSAGE_GOODBYE);
    for (int any = FW_ANY_DELIVERY; any < FW_ANY_COUNT; any++)
        assert_int_equal(seen[any], 1);
}

static void means_the_purged_level_when_none_is_given(void **state)
{
    fw_wire_t wire = fw_wire_new(16);
    fw_message_t message;
    fw_refusal_t refusal;
    fw_wire_bytes(&wire, 2, FW_WIRE_BYTES("\x2a\x00"));
    assert_int_equal(
        fw_codec_decode(*state, FW_LINK_PUBLISHER_UP, fw_wire_view(&wire), &message, &refusal), 0);
    assert_int_equal(message.publish.level, FW_ACK_PURGED);
    assert_int_equal(message.publish.event.data.kind, FW_PAYLOAD_NONE);
    fw_wire_clear(&wire);
}

static void takes_the_type_from_typed_data_when_it_is_left_out(void **state)
{
    fw_any_t any = *sample("publisher_up_team_updated");
    fw_message_t message;
    fw_publication_t publication;
    fw_refusal_t refusal;
    any.message.publish.event.type = FW_TEXT_NONE;
    fw_bytes_t frame = fw_any_encode(*state, &any);
    assert_int_equal(fw_codec_decode(*state, FW_LINK_PUBLISHER_UP, frame, &message, &refusal), 0);
    assert_string_equal(message.publish.event.type.text, "team_updated");
    message.publish.event.type = FW_TEXT_NONE;
    frame = fw_codec_encode_publication(*state, &message.publish.event);
    assert_int_equal(fw_codec_decode_publication(*state, frame, &publication, &refusal), 0);
    assert_string_equal(publication.type.text, "team_updated");
}

/* The way of an event through the broker. */
static void keeps_typed_data_typed_from_publish_to_publication(void **state)
{
    const fw_any_t *any = sample("publisher_up_project_updated");
    fw_message_t message;
    fw_publication_t publication;
    fw_refusal_t refusal;
    fw_bytes_t frame = fw_any_encode(*state, any);
    assert_int_equal(fw_codec_decode(*state, FW_LINK_PUBLISHER_UP, frame, &message, &refusal), 0);
    const fw_event_t *event = &message.publish.event;
    assert_non_null(event->data.message);
    frame = fw_codec_encode_publication(*state, event);
    assert_true(frame.size <= FW_PUBLICATION_SIZE_MAX);
    assert_int_equal(fw_codec_decode_publication(*state, frame, &publication, &refusal), 0);
    assert_int_equal(publication.data.kind, FW_PAYLOAD_TYPED);
    assert_non_null(publication.data.message);
    assert_true(fw_bytes_equal(publication.data.bytes, event->data.bytes));
    assert_true(fw_text_equal(publication.exclude.origin, event->exclude.origin));
    assert_true(publication.ts == event->ts);
}

static void keeps_a_message_alive_while_a_publication_is_decoded(void **state)
{
    fw_delivery_t delivery;
    fw_publication_t publication;
    fw_refusal_t refusal;
    fw_bytes_t frame = fw_any_encode(*state, sample("publication"));
    uint8_t *copy = malloc(frame.size);
    assert_non_null(copy);
    memcpy(copy, frame.data, frame.size);
    fw_any_t any = *sample("delivery");
    any.delivery.publication = (fw_bytes_t){copy, frame.size};
    frame = fw_any_encode(*state, &any);
    assert_int_equal(fw_codec_decode_delivery(*state, frame, &delivery, &refusal), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            fw_codec_decode_publication(*state, delivery.publication, &publication, &refusal), 0);
    assert_string_equal(delivery.channel.text, "user:9");
    assert_true(fw_text_equal(publication.id, FW_TEXT("0192f0c1")));
    free(copy);
}

static void puts_the_topic_before_the_body(void **state)
{
    const fw_any_t *any = sample("delivery");
    char topic[FW_TOPIC_SIZE];
    fw_channel_topic(any->delivery.channel, topic);
    fw_bytes_t frame = fw_codec_encode_event_frame(*state, &any->delivery);
    assert_memory_equal(frame.data, topic, sizeof topic);
    frame = fw_codec_encode_beacon_frame(*state, &sample("beacon")->beacon);
    assert_memory_equal(frame.data, "!hb", 3);
}

/* Found by the fuzzer: a new codec had no buffer, and added 0 to NULL. */
static void writes_an_empty_message_as_its_first(void **state)
{
    fw_event_t event = {.type = FW_TEXT_NONE};
    fw_bytes_t frame = fw_codec_encode_publication(*state, &event);
    assert_non_null(frame.data);
    assert_int_equal(frame.size, 0);
}

static void carries_the_largest_event_there_is(void **state)
{
    uint8_t *data = malloc(FW_PAYLOAD_SIZE_MAX);
    assert_non_null(data);
    memset(data, 'x', FW_PAYLOAD_SIZE_MAX);
    fw_message_t message = sample("publisher_up_publish_json")->message;
    fw_publication_t publication;
    fw_refusal_t refusal;
    message.publish.event.data.bytes = (fw_bytes_t){data, FW_PAYLOAD_SIZE_MAX};
    fw_bytes_t frame = fw_codec_encode(*state, FW_LINK_PUBLISHER_UP, &message);
    assert_int_equal(fw_codec_decode(*state, FW_LINK_PUBLISHER_UP, frame, &message, &refusal), 0);
    frame = fw_codec_encode_publication(*state, &message.publish.event);
    assert_int_equal(fw_codec_decode_publication(*state, frame, &publication, &refusal), 0);
    assert_int_equal(publication.data.bytes.size, FW_PAYLOAD_SIZE_MAX);
    free(data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refuses_an_envelope_without_a_message),
        TEST(refuses_a_message_that_this_version_does_not_know),
        TEST(refuses_a_message_of_another_link),
        TEST(refuses_a_publish_without_an_event),
        TEST(refuses_values_outside_their_enumeration),
        TEST(refuses_statuses_that_are_left_out),
        TEST(refuses_an_incarnation_that_is_not_sixteen_bytes),
        TEST(refuses_a_publish_incarnation_that_is_neither_absent_nor_sixteen_bytes),
        TEST(refuses_a_delivery_without_a_place),
        TEST(leaves_the_result_alone_when_it_refuses),
        TEST(reads_the_request_id_of_a_refused_publish),
        TEST(reads_no_request_id_from_what_is_not_a_publish),
        TEST(cuts_the_words_of_a_longer_refusal_between_characters),
        TEST(makes_the_words_of_others_fit_to_be_sent),
        TEST(keeps_every_field_of_every_sample),
        TEST(has_a_sample_of_every_message_on_every_link),
        TEST(means_the_purged_level_when_none_is_given),
        TEST(takes_the_type_from_typed_data_when_it_is_left_out),
        TEST(keeps_typed_data_typed_from_publish_to_publication),
        TEST(keeps_a_message_alive_while_a_publication_is_decoded),
        TEST(puts_the_topic_before_the_body),
        TEST(writes_an_empty_message_as_its_first),
        TEST(carries_the_largest_event_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
