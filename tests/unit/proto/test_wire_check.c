/* test_wire_check.c - bad bytes are refused by the path of the field, the limit and the value, and
 * the limits cover the whole schema.   SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "freshwire/v1/gateway.pb-c.h"
#include "freshwire/v1/jobs.pb-c.h"
#include "freshwire/v1/publish.pb-c.h"
#include "proto/channel.h"
#include "proto/wire_check.h"
#include "proto/wire_limits.h"
#include "tests/support/wire_samples.h"
#include "tests/support/wire_writer.h"

typedef const ProtobufCMessageDescriptor descriptor_t;

#define D(name) &freshwire__v1__##name##__descriptor

/* What the codec decodes, in the order of fw_any_t's decoders. */
static descriptor_t *const roots[FW_ANY_COUNT] = {
    D(publisher_up), D(publisher_down), D(worker_up), D(worker_down),
    D(gateway_up),   D(gateway_down),   D(delivery),  D(beacon),
    D(publication),  D(delivery),       D(purged),
};

static void assert_refused(descriptor_t *descriptor, fw_bytes_t data, int result, const char *field,
                           const char *reason, uint64_t limit, uint64_t value)
{
    fw_refusal_t refusal = {0};
    int got = fw_wire_check(descriptor, data, &refusal);
    if (got != result || strcmp(refusal.field, field) != 0 || strcmp(refusal.reason, reason) != 0)
        fail_msg("%d \"%s\" \"%s\" instead of %d \"%s\" \"%s\"", got, refusal.field, refusal.reason,
                 result, field, reason);
    assert_true(refusal.limit == limit);
    assert_true(refusal.value == value);
}

static void assert_accepted(descriptor_t *descriptor, fw_bytes_t data)
{
    fw_refusal_t refusal;
    if (fw_wire_check(descriptor, data, &refusal) != 0)
        fail_msg("%s %s", refusal.field, refusal.reason);
}

#define BROKEN "is not a message of this protocol"
#define ROW(descriptor, literal, ...)                                                              \
    {                                                                                              \
        descriptor, literal, sizeof(literal) - 1, __VA_ARGS__                                      \
    }

static const struct {
    descriptor_t *descriptor;
    const char *data;
    size_t size;
    int result;
    const char *field, *reason;
    uint64_t limit, value;
} malformed[] = {
    /* Tags: cut, number 0, more than 32 bits, padded, groups, wire types 6 and 7. */
    ROW(D(beacon), "\x80", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x00\x01", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x90\x80\x80\x80\x10\x01", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x90\x80\x80\x80\x80\x00\x01", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x13", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x14", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x7b\x7c", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x16\x01", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x17\x01", -EBADMSG, "message", BROKEN, 0, 0),
    /* Numbers: missing, cut, eleven bytes, more than 64 bits. */
    ROW(D(beacon), "\x10", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x10\xff", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", -EBADMSG, "message", BROKEN,
        0, 0),
    ROW(D(beacon), "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", -EBADMSG, "message", BROKEN, 0,
        0),
    /* Fixed sizes of unknown fields, one byte short. */
    ROW(D(beacon), "\x79\x01\x02\x03\x04\x05\x06\x07", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x7d\x01\x02\x03", -EBADMSG, "message", BROKEN, 0, 0),
    /* Lengths: missing, past the end, of 32 and 64 bits, padded, in a field and in unknown
     * ones. */
    ROW(D(beacon), "\x0a", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x0a\x01", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x0a\xff\xff\xff\xff\x0f", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", -EBADMSG, "message", BROKEN, 0,
        0),
    ROW(D(beacon), "\x0a\x81\x80\x80\x80\x80\x00x", -EBADMSG, "message", BROKEN, 0, 0),
    ROW(D(beacon), "\x7a\x02x", -EBADMSG, "message", BROKEN, 0, 0),
    /* Inside other messages the path leads there. */
    ROW(D(publisher_up), "\x12\x03\x2a\x01\x80", -EBADMSG, "publish.event", BROKEN, 0, 0),
    ROW(D(gateway_down), "\x1a\x04\x2a\x02\x12\x01", -EBADMSG, "replay.deliveries[0]", BROKEN, 0,
        0),
    ROW(D(gateway_down), "\x1a\x07\x2a\x00\x2a\x03\x12\x01\x80", -EBADMSG,
        "replay.deliveries[1].position", BROKEN, 0, 0),
    /* Kinds of values. */
    ROW(D(beacon), "\x08\x01", -EBADMSG, "incarnation", "has the wrong kind of value", 0, 0),
    ROW(D(beacon), "\x12\x01x", -EBADMSG, "number", "has the wrong kind of value", 0, 0),
    ROW(D(beacon), "\x15\x01\x02\x03\x04", -EBADMSG, "number", "has the wrong kind of value", 0, 0),
    ROW(D(beacon), "\x11\x01\x02\x03\x04\x05\x06\x07\x08", -EBADMSG, "number",
        "has the wrong kind of value", 0, 0),
    ROW(D(publisher_up), "\x10\x01", -EBADMSG, "publish", "has the wrong kind of value", 0, 0),
    ROW(D(worker_down), "\x12\x04\x22\x02\x10\x01", -EBADMSG, "job.invalidate.tags[0]",
        "has the wrong kind of value", 0, 0),
    /* Twice. */
    ROW(D(beacon), "\x10\x01\x10\x02", -EBADMSG, "number", "is given twice", 1, 2),
    ROW(D(publisher_up), "\x1a\x00\x1a\x00", -EBADMSG, "ping", "is given twice", 1, 2),
    ROW(D(publisher_up), "\x12\x06\x2a\x01\x0a\x2a\x01\x0a", -EBADMSG, "publish.event", BROKEN, 0,
        0),
    ROW(D(publisher_up), "\x12\x04\x2a\x00\x2a\x00", -EBADMSG, "publish.event", "is given twice", 1,
        2),
    ROW(D(publisher_up), "\x1a\x00\x22\x00", -EBADMSG, "goodbye",
        "is given beside another of its kind", 0, 0),
    ROW(D(publication),
        "\x1a\x05\x0a\x01"
        "1\x52\x00",
        -EBADMSG, "data.project_created", "is given beside another of its kind", 0, 0),
    /* Texts. */
    ROW(D(publisher_up),
        "\x0a\x05\x12\x03"
        "a\x00z",
        -EBADMSG, "hello.name", "holds a zero byte", 0, 0),
    ROW(D(publisher_up), "\x0a\x04\x12\x02\xc3\x28", -EBADMSG, "hello.name", "is not UTF-8 text", 0,
        0),
    ROW(D(publisher_up), "\x12\x0a\x2a\x08\x22\x01x\x22\x03\xed\xa0\x80", -EBADMSG,
        "publish.event.audience[1]", "is not UTF-8 text", 0, 0),
    ROW(D(publication), "\x1a\x07\x7a\x05\x1a\x00\x1a\x01\xff", -EBADMSG,
        "data.team_updated.member_ids[1]", "is not UTF-8 text", 0, 0),
    /* Epochs have 60 bits. */
    ROW(D(delivery), "\x12\x0a\x08\x80\x80\x80\x80\x80\x80\x80\x80\x10", -EMSGSIZE,
        "position.epoch", "is too large", FW_EPOCH_MAX, FW_EPOCH_MAX + 1),
};

static void refuses_malformed_bytes_where_they_stand(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        uint8_t *exact = malloc(malformed[i].size); /* so that a read too far is seen */
        assert_non_null(exact);
        memcpy(exact, malformed[i].data, malformed[i].size);
        print_message("row %zu\n", i);
        assert_refused(malformed[i].descriptor, (fw_bytes_t){exact, malformed[i].size},
                       malformed[i].result, malformed[i].field, malformed[i].reason,
                       malformed[i].limit, malformed[i].value);
        free(exact);
    }
}

static void accepts_what_other_encoders_may_write(void **state)
{
    static const struct {
        descriptor_t *descriptor;
        const char *data;
        size_t size;
    } rows[] = {
        ROW(D(beacon), ""),
        ROW(D(beacon), "\x10\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00"), /* a padded number */
        ROW(D(beacon), "\x90\x80\x80\x80\x00\x01"),                     /* a padded tag */
        ROW(D(beacon), "\x0a\x81\x80\x80\x80\x00x"),                    /* a padded length */
        ROW(D(beacon), "\x18\x01\x10\x01\x0a\x00"),                     /* out of order */
        ROW(D(beacon), "\x7a\x01x\x78\x01\x7d"
                       "1234\x79"
                       "12345678\xf8\xff\xff\xff\x0f\x01"),                   /* unknown fields */
        ROW(D(publisher_up), "\x12\x0c\x2a\x0a\x22\x01z\x0a\x01y\x22\x02zz"), /* a split list */
        ROW(D(delivery), "\x12\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x0f"), /* the last epoch */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_message("row %zu\n", i);
        assert_accepted(rows[i].descriptor,
                        (fw_bytes_t){(const uint8_t *)rows[i].data, rows[i].size});
    }
    assert_accepted(D(beacon), (fw_bytes_t){NULL, 0});
}

/* count fields of size letters at the end of a path of message fields. */
static fw_wire_t nested(const uint32_t *path, size_t count, size_t size)
{
    fw_wire_t wire = fw_wire_new(count * (size + 8));
    char *letters = malloc(size + 1);
    size_t depth = 0;
    assert_non_null(letters);
    memset(letters, 'x', size);
    letters[size] = '\0';
    while (path[depth])
        depth++;
    for (size_t i = 0; i < count; i++)
        fw_wire_text(&wire, path[depth - 1], letters);
    free(letters);
    for (size_t level = depth - 1; level-- > 0;) {
        fw_wire_t outer = fw_wire_new(wire.size + 16);
        fw_wire_bytes(&outer, path[level], fw_wire_view(&wire));
        fw_wire_clear(&wire);
        wire = outer;
    }
    return wire;
}

/* Texts and bytes at their limit and one byte past it. */
static void refuses_texts_one_byte_too_long(void **state)
{
    static const struct {
        descriptor_t *descriptor;
        uint32_t path[6];
        size_t size_max;
        const char *field;
    } rows[] = {
        {D(publisher_up), {1, 2}, 128, "hello.name"},
        {D(publisher_up), {1, 3}, 16, "hello.incarnation"},
        {D(publisher_up), {4, 1}, 512, "goodbye.reason"},
        {D(publisher_up), {2, 4}, 16, "publish.incarnation"},
        {D(publisher_up), {2, 5, 1}, 128, "publish.event.id"},
        {D(publisher_up), {2, 5, 2}, 64, "publish.event.type"},
        {D(publisher_up), {2, 5, 3, 1}, 65536, "publish.event.data.json"},
        {D(publisher_up), {2, 5, 3, 2}, 65536, "publish.event.data.binary"},
        {D(publisher_up), {2, 5, 4}, 185, "publish.event.audience[0]"},
        {D(publisher_up), {2, 5, 5, 1}, 180, "publish.event.exclude.user_id"},
        {D(publisher_up), {2, 5, 5, 2}, 128, "publish.event.exclude.origin"},
        {D(publisher_up), {2, 5, 6, 1}, 1024, "publish.event.invalidate.keys[0]"},
        {D(publisher_up), {2, 5, 6, 2}, 256, "publish.event.invalidate.tags[0]"},
        {D(publisher_up), {2, 5, 6, 3}, 1024, "publish.event.invalidate.patterns[0]"},
        {D(publisher_up), {2, 5, 7}, 128, "publish.event.origin"},
        {D(publisher_up), {2, 5, 8}, 180, "publish.event.user_id"},
        {D(publisher_up), {2, 5, 10}, 64, "publish.event.traceparent"},
        {D(publisher_down), {1, 2}, 16, "welcome.incarnation"},
        {D(publisher_down), {2, 2}, 128, "ack.id"},
        {D(publisher_down), {2, 4, 1}, 185, "ack.positions[0].channel"},
        {D(publisher_down), {2, 7, 1}, 1024, "ack.refusal.field"},
        {D(publisher_down), {5, 2}, 1024, "refusal.reason"},
        {D(worker_up), {2, 3, 1}, 256, "done.stamps[0].tag"},
        {D(worker_up), {3, 3}, 512, "failed.reason"},
        {D(worker_down), {2, 4, 1}, 1024, "job.invalidate.keys[0]"},
        {D(gateway_up), {2, 2}, 185, "positions.channels[0]"},
        {D(gateway_up), {3, 2}, 185, "replay.channel"},
        {D(gateway_down), {2, 2, 1}, 185, "positions.positions[0].channel"},
        {D(gateway_down), {3, 2}, 185, "replay.channel"},
        {D(gateway_down), {3, 5, 1}, 185, "replay.deliveries[0].channel"},
        {D(gateway_down), {3, 5, 6}, 69632, "replay.deliveries[0].publication"},
        {D(delivery), {1}, 185, "channel"},
        {D(delivery), {6}, 69632, "publication"},
        {D(beacon), {1}, 16, "incarnation"},
        {D(publication), {1}, 128, "id"},
        {D(publication), {2}, 64, "type"},
        {D(publication), {3, 10, 3}, 65532, "data.project_created"}, /* 65536 in all */
        {D(publication), {5}, 128, "origin"},
        {D(publication), {6}, 180, "user_id"},
        {D(publication), {8}, 64, "traceparent"},
        {D(publication), {3, 15, 3}, 180, "data.team_updated.member_ids[0]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t head =
            rows[i].path[1] == 10 ? 4 : 0; /* of the text in what is too long as a whole */
        fw_wire_t wire = nested(rows[i].path, 1, rows[i].size_max);
        assert_accepted(rows[i].descriptor, fw_wire_view(&wire));
        fw_wire_clear(&wire);
        wire = nested(rows[i].path, 1, rows[i].size_max + 1);
        assert_refused(rows[i].descriptor, fw_wire_view(&wire), -EMSGSIZE, rows[i].field,
                       "is too long", rows[i].size_max + head, rows[i].size_max + head + 1);
        fw_wire_clear(&wire);
    }
}

static void refuses_lists_one_value_too_long(void **state)
{
    static const struct {
        descriptor_t *descriptor;
        uint32_t path[6];
        size_t count_max;
        const char *field;
    } rows[] = {
        {D(publisher_up), {2, 5, 4}, 64, "publish.event.audience[64]"},
        {D(publisher_up), {2, 5, 6, 1}, 1000, "publish.event.invalidate.keys[1000]"},
        {D(publisher_up), {2, 5, 6, 2}, 256, "publish.event.invalidate.tags[256]"},
        {D(publisher_up), {2, 5, 6, 3}, 16, "publish.event.invalidate.patterns[16]"},
        {D(publisher_down), {2, 4}, 64, "ack.positions[64]"},
        {D(worker_up), {2, 3}, 256, "done.stamps[256]"},
        {D(gateway_up), {2, 2}, 512, "positions.channels[512]"},
        {D(gateway_down), {2, 2}, 512, "positions.positions[512]"},
        {D(gateway_down), {3, 5}, 256, "replay.deliveries[256]"},
        {D(publication), {3, 15, 3}, 1000, "data.team_updated.member_ids[1000]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fw_wire_t wire = nested(rows[i].path, rows[i].count_max, 0);
        assert_accepted(rows[i].descriptor, fw_wire_view(&wire));
        fw_wire_clear(&wire);
        wire = nested(rows[i].path, rows[i].count_max + 1, 0);
        assert_refused(rows[i].descriptor, fw_wire_view(&wire), -EMSGSIZE, rows[i].field,
                       "is one too many", rows[i].count_max, rows[i].count_max + 1);
        fw_wire_clear(&wire);
    }
}

static void refuses_more_than_sixteen_unknown_fields_of_one_message(void **state)
{
    (void)state;
    for (size_t count = 16; count <= 17; count++) {
        fw_wire_t wire = nested((const uint32_t[]){15, 0}, count, 3);
        fw_wire_t ping = fw_wire_new(256);
        fw_wire_bytes(&ping, 3, fw_wire_view(&wire));
        if (count == 16) {
            assert_accepted(D(beacon), fw_wire_view(&wire));
            assert_accepted(D(publisher_up), fw_wire_view(&ping));
        } else {
            assert_refused(D(beacon), fw_wire_view(&wire), -EMSGSIZE, "message",
                           "has too many unknown fields", 16, 17);
            assert_refused(D(publisher_up), fw_wire_view(&ping), -EMSGSIZE, "ping",
                           "has too many unknown fields", 16, 17);
        }
        fw_wire_clear(&wire);
        fw_wire_clear(&ping);
    }
}

static void refuses_frames_beyond_the_limit_of_their_socket(void **state)
{
    static const size_t expected[FW_ANY_COUNT] = {
        FW_FRAME_SIZE_MAX,       FW_REPLY_SIZE_MAX, FW_FRAME_SIZE_MAX, FW_REPLY_SIZE_MAX,
        FW_FRAME_SIZE_MAX,       FW_REPLY_SIZE_MAX, FW_FRAME_SIZE_MAX, FW_FRAME_SIZE_MAX,
        FW_PUBLICATION_SIZE_MAX, FW_FRAME_SIZE_MAX, FW_FRAME_SIZE_MAX,
    };
    (void)state;
    for (int i = 0; i < FW_ANY_COUNT; i++) {
        fw_wire_t wire = nested((const uint32_t[]){15, 0}, 1, expected[i] - 4);
        if (wire.size > expected[i]) /* the length takes a byte more */
            wire.size = expected[i];
        assert_refused(roots[i], (fw_bytes_t){wire.bytes, expected[i] + 1}, -EMSGSIZE, "message",
                       "is too large", expected[i], expected[i] + 1);
        fw_wire_clear(&wire);
    }
}

static void cuts_a_path_that_is_too_long_for_its_buffer(void **state)
{
    fw_refusal_t refusal;
    fw_wire_t wire = nested((const uint32_t[]){2, 5, 6, 1, 0}, 1001, 1);
    (void)state;
    assert_int_equal(fw_wire_check(D(publisher_up), fw_wire_view(&wire), &refusal), -EMSGSIZE);
    assert_true(strlen(refusal.field) < sizeof refusal.field);
    fw_wire_clear(&wire);
}

/* The schema against the limits. */

typedef void visit_fn(descriptor_t *message, const ProtobufCFieldDescriptor *field);

static unsigned deepest;

static void visit_fields(descriptor_t *message, visit_fn *visit, unsigned depth)
{
    assert_true(depth < 16); /* else it nests itself, and the walk would recurse with it */
    deepest = depth > deepest ? depth : deepest;
    for (unsigned i = 0; i < message->n_fields; i++) {
        visit(message, &message->fields[i]);
        if (message->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            visit_fields(message->fields[i].descriptor, visit, depth + 1);
    }
}

static void assert_bounded(descriptor_t *message, const ProtobufCFieldDescriptor *field)
{
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    bool text = field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES;
    if (field->id > FW_WIRE_FIELD_ID_MAX)
        fail_msg("%s.%s: raise FW_WIRE_FIELD_ID_MAX", message->name, field->name);
    const fw_field_limit_t *limit = &fw_wire_limits(message)->fields[field->id];
    if (text && !limit->size_max)
        fail_msg("%s.%s has no size_max", message->name, field->name);
    if (repeated != (limit->count_max > 0))
        fail_msg("%s.%s: a list has a count_max, nothing else has", message->name, field->name);
    if (repeated && !text && field->type != PROTOBUF_C_TYPE_MESSAGE)
        fail_msg("%s.%s: the walk does not know packed numbers", message->name, field->name);
    for (unsigned i = 0; i < message->n_fields; i++) {
        if (field->flags & message->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
            field->quantifier_offset != message->fields[i].quantifier_offset)
            fail_msg("%s: the walk knows one oneof a message", message->name);
    }
}

static void every_field_of_the_schema_is_bounded(void **state)
{
    (void)state;
    for (int i = 0; i < FW_ANY_COUNT; i++) {
        assert_true(fw_wire_limits(roots[i])->size_max > 0);
        visit_fields(roots[i], assert_bounded, 1);
    }
    /* It travels as bytes in a delivery. */
    visit_fields(D(note), assert_bounded, 1);
    assert_int_equal(deepest, 5);
}

enum { SEEN_MAX = 512 };

static const ProtobufCFieldDescriptor *seen[SEEN_MAX];
static size_t seen_count;

static bool was_seen(const ProtobufCFieldDescriptor *field)
{
    for (size_t i = 0; i < seen_count; i++)
        if (seen[i] == field)
            return true;
    return false;
}

static void note_fields(descriptor_t *message, fw_bytes_t data)
{
    for (unsigned i = 0; i < message->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->fields[i];
        fw_bytes_t content;
        uint64_t number;
        if (!fw_wire_find(data, field->id, &content, &number))
            continue;
        if (!was_seen(field)) {
            assert_true(seen_count < SEEN_MAX);
            seen[seen_count++] = field;
        }
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            note_fields(field->descriptor, content);
    }
}

static void assert_seen(descriptor_t *message, const ProtobufCFieldDescriptor *field)
{
    if (!was_seen(field))
        fail_msg("%s.%s is in no sample", message->name, field->name);
}

static void the_samples_set_every_field_of_the_schema(void **state)
{
    size_t count;
    const fw_sample_t *samples = fw_wire_samples(&count);
    fw_codec_t *codec = fw_codec_new();
    (void)state;
    for (size_t i = 0; i < count; i++)
        note_fields(roots[samples[i].any.decoder], fw_any_encode(codec, &samples[i].any));
    for (int i = 0; i < FW_ANY_COUNT; i++)
        visit_fields(roots[i], assert_seen, 1);
    fw_codec_destroy(&codec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_malformed_bytes_where_they_stand),
        cmocka_unit_test(accepts_what_other_encoders_may_write),
        cmocka_unit_test(refuses_texts_one_byte_too_long),
        cmocka_unit_test(refuses_lists_one_value_too_long),
        cmocka_unit_test(refuses_more_than_sixteen_unknown_fields_of_one_message),
        cmocka_unit_test(refuses_frames_beyond_the_limit_of_their_socket),
        cmocka_unit_test(cuts_a_path_that_is_too_long_for_its_buffer),
        cmocka_unit_test(every_field_of_the_schema_is_bounded),
        cmocka_unit_test(the_samples_set_every_field_of_the_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
