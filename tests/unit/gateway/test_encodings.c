/* test_encodings.c - whatever a session speaks, it is told the same in the same order.
 * SPDX-License-Identifier: MPL-2.0
 * Random events, exclusions, resets and pauses on one hub; sessions that differ in encoding and
 * batching read it in pieces of random sizes. FRESHWIRE_SEED repeats a run. */
#include "tests/unit/gateway/hub_fixture.h"

#include <jansson.h>

#include "gateway/event_json.h"
#include "gateway/sse.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "tests/unit/proto/browser_message.h"

enum { READERS = 6, STEPS = 1500, LINE_SIZE = 4096, RING = 40 };

static const char *const channels[] = {"broadcast", "room:\xc3\xbc", "user:9"};
enum { CHANNELS = sizeof channels / sizeof *channels };

typedef struct {
    fw_session_t *session;
    fw_gather_t *gather;
    char *told; /* one line a message, the same for every encoding */
    size_t size;
    size_t capacity;
    fw_position_t places[CHANNELS]; /* of the last id */
} reader_t;

typedef struct {
    scene_t scene;
    fw_random_t random;
    reader_t readers[READERS];
    uint64_t heads[CHANNELS];
    uint64_t epoch;
} world_t;

static uint64_t below(world_t *world, uint64_t limit)
{
    return fw_random_below(&world->random, limit);
}

/* ------ what was told, as one line */

static void tell(reader_t *reader, const char *line)
{
    size_t size = strlen(line);
    if (reader->size + size + 2 > reader->capacity) {
        reader->capacity = (reader->capacity + size + 2) * 2;
        reader->told = realloc(reader->told, reader->capacity);
        assert_non_null(reader->told);
    }
    memcpy(reader->told + reader->size, line, size);
    memcpy(reader->told + reader->size + size, "\n", 2);
    reader->size += size + 1;
}

typedef struct {
    const char *type, *channel, *epoch, *reason, *id, *origin, *user;
    unsigned long long offset, fresh;
    long long ts;
    bool unconfirmed;
    unsigned spread_ms;
    const char *data;
} told_t;

static void tell_all(reader_t *reader, const told_t *told)
{
    char line[LINE_SIZE];
    int size =
        snprintf(line, sizeof line, "%s %s %s %llu %s %s %s %s %llu %lld %d %u %s", told->type,
                 told->channel, told->epoch, told->offset, told->reason, told->id, told->origin,
                 told->user, told->fresh, told->ts, told->unconfirmed, told->spread_ms, told->data);
    assert_true(size > 0 && (size_t)size < sizeof line);
    tell(reader, line);
}

static const char *text_in(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void hear_json(reader_t *reader, const char *text, size_t size)
{
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    json_t *value = json_object_get(object, "data");
    char *data = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
    told_t told = {
        .type = text_in(object, "type"),
        .channel = text_in(object, "channel"),
        .epoch = text_in(object, "epoch"),
        .reason = text_in(object, "reason"),
        .id = text_in(object, "id"),
        .origin = text_in(object, "origin"),
        .user = text_in(object, "user_id"),
        .offset = strtoull(text_in(object, "offset"), NULL, 10),
        .fresh = strtoull(text_in(object, "fresh"), NULL, 10),
        .ts = json_integer_value(json_object_get(object, "ts")),
        .unconfirmed = json_is_true(json_object_get(object, "unconfirmed")),
        .spread_ms = (unsigned)json_integer_value(json_object_get(object, "spread_ms")),
        .data = data ? data : "",
    };
    tell_all(reader, &told);
    free(data);
    json_decref(object);
}

/* As the JSON of the same data. */
static char *data_of(const browser_message_t *message)
{
    json_t *value = json_null();
    if (message->data_kind == FW_PAYLOAD_JSON) {
        value =
            json_loadb((const char *)message->data.data, message->data.size, JSON_DECODE_ANY, NULL);
    } else if (message->data_kind == FW_PAYLOAD_BINARY) {
        char text[64] = "";
        fw_json_t base64 = {.buffer = text, .size = sizeof text - 1};
        fw_json_base64(&base64, message->data);
        value = json_loads(text, JSON_DECODE_ANY, NULL);
    }
    assert_non_null(value);
    char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    json_decref(value);
    return dumped;
}

static void hear_message(void *context, const browser_message_t *message)
{
    char epoch[FW_EPOCH_TEXT_SIZE_MAX + 1] = "";
    bool control = strncmp(message->type, "fw.", 3) == 0;
    char *data = control ? NULL : data_of(message);
    bool welcome = strcmp(message->type, "fw.welcome") == 0;
    assert_int_equal(message->placed, !welcome);
    assert_int_equal(message->standings, welcome ? CHANNELS : 0);
    if (message->placed)
        (void)fw_epoch_format(message->position.epoch, epoch);
    told_t told = {
        .type = message->type,
        .channel = message->channel,
        .epoch = epoch,
        .reason = message->reason,
        .id = message->id,
        .origin = message->origin,
        .user = message->user_id,
        .offset = message->position.offset,
        .fresh = message->fresh,
        .ts = message->ts,
        .unconfirmed = message->unconfirmed,
        .spread_ms = message->spread_ms,
        .data = data ? data : "",
    };
    tell_all(context, &told);
    free(data);
}

/* ------ pieces */

static size_t head_of(const uint8_t *data, size_t *ret_size)
{
    if (data[1] < 126) {
        *ret_size = data[1];
        return 2;
    }
    assert_int_equal(data[1], 126);
    *ret_size = (size_t)data[2] << 8 | data[3];
    return 4;
}

static void hear_frame(reader_t *reader, const uint8_t *payload, size_t size)
{
    if (reader->session->encoding == FW_ENCODING_PROTOBUF) {
        assert_true(browser_message_read((fw_bytes_t){payload, size}, hear_message, reader));
        return;
    }
    const char *text = (const char *)payload;
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t line = end ? (size_t)(end - text) : size;
        hear_json(reader, text, line);
        size -= end ? line + 1 : line;
        text += end ? line + 1 : line;
    }
}

static void hear_id(reader_t *reader, fw_text_t id)
{
    fw_text_t names[CHANNELS];
    for (size_t i = 0; i < CHANNELS; i++)
        names[i] = fw_text(channels[i]);
    assert_int_equal(fw_sse_id_parse(id, names, CHANNELS, reader->places), 0);
}

/* Blocks as a browser reads them. */
static void hear_blocks(reader_t *reader, const char *text, size_t size)
{
    const char *end = text + size;
    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        assert_non_null(line_end);
        size_t line = (size_t)(line_end - text);
        char copy[LINE_SIZE];
        assert_true(line < sizeof copy);
        memcpy(copy, text, line);
        copy[line] = '\0';
        if (strncmp(copy, "data: ", 6) == 0)
            hear_json(reader, copy + 6, line - 6);
        else if (strncmp(copy, "id: ", 4) == 0)
            hear_id(reader, (fw_text_t){copy + 4, line - 4});
        else
            assert_true(line == 0 || strncmp(copy, "event: ", 7) == 0);
        text = line_end + 1;
    }
}

static void read_some(world_t *world, reader_t *reader, size_t pieces)
{
    fw_output_t output;
    size_t limit = below(world, 2) ? FW_GATHER_BYTES_MAX : 300 + below(world, 2000);
    while (pieces-- > 0 && fw_gather_next(reader->gather, reader->session, limit, &output)) {
        if (output.grown > 0)
            fw_hub_grew(world->scene.hub, output.grown);
        if (reader->session->encoding == FW_ENCODING_SSE) {
            hear_blocks(reader, (const char *)output.bytes.data, output.bytes.size);
            continue;
        }
        for (size_t i = 0; i < output.bytes.size;) {
            size_t size;
            size_t head = head_of(output.bytes.data + i, &size);
            bool binary = reader->session->encoding == FW_ENCODING_PROTOBUF;
            assert_int_equal(output.bytes.data[i], binary ? 0x82 : 0x81);
            hear_frame(reader, output.bytes.data + i + head, size);
            i += head + size;
        }
    }
}

/* ------ the world */

static void publish(world_t *world)
{
    static const char *const texts[] = {"null", "{\"a\":\"\xf0\x9f\x98\x80\\u00e9\\\\\"}",
                                        " [1,\n2] ", "\"}],\\\"\"", "-12.5e3"};
    static const uint8_t bytes[] = {0, 1, 2, 0xff, 0xfe};
    size_t i = (size_t)below(world, CHANNELS);
    bool binary = below(world, 5) == 0;
    bool none = below(world, 9) == 0;
    bool excludes = below(world, 6) == 0;
    const char *text = texts[below(world, 5)];
    fw_publication_t publication = {
        .id = FW_TEXT("id-\"1\""),
        .type = FW_TEXT("thing.changed"),
        .data = {.kind = none     ? FW_PAYLOAD_NONE
                         : binary ? FW_PAYLOAD_BINARY
                                  : FW_PAYLOAD_JSON,
                 .bytes = binary ? (fw_bytes_t){bytes, (size_t)below(world, 6)} : bytes_of(text)},
        .exclude = {FW_TEXT_NONE, excludes ? FW_TEXT("me") : FW_TEXT_NONE},
        .origin = below(world, 2) ? FW_TEXT("tab\t7") : FW_TEXT_NONE,
        .user_id = below(world, 2) ? FW_TEXT("9") : FW_TEXT_NONE,
        .ts = (int64_t)below(world, 1000) - 500,
    };
    fw_delivery_t delivery = {
        .channel = fw_text(channels[i]),
        .position = {world->epoch, ++world->heads[i]},
        .fresh = below(world, 3),
        .unconfirmed = below(world, 4) == 0,
        .spread_ms = (uint32_t)below(world, 3),
    };
    char body[1024];
    fw_json_t json = {.buffer = body, .size = sizeof body};
    fw_event_json(&json, &delivery, &publication);
    assert_true(json.needed <= sizeof body);
    fw_entry_t *entry =
        fw_entry_new(delivery.position.offset, (fw_bytes_t){(uint8_t *)body, json.needed},
                     &publication.exclude, 1);
    fw_entry_set_data(entry, publication.data.kind);
    fw_hub_event(world->scene.hub, fw_hub_find(world->scene.hub, delivery.channel), world->epoch,
                 &entry);
}

/* The broker began anew: all places are lost. */
static void begin_anew(world_t *world)
{
    world->epoch++;
    for (size_t i = 0; i < CHANNELS; i++)
        world->heads[i] = below(world, 5);
    fw_hub_suspect(world->scene.hub);
    for (size_t i = 0; i < CHANNELS; i++) {
        fw_channel_t *channel = fw_hub_find(world->scene.hub, fw_text(channels[i]));
        fw_sync_position_asked(&channel->sync, ++world->scene.request, 0);
        fw_hub_position(world->scene.hub, channel, world->scene.request,
                        (fw_position_t){world->epoch, world->heads[i]});
    }
}

static void open_reader(world_t *world, reader_t *reader, fw_encoding_t encoding, bool batch)
{
    reader->session = scene_session(&world->scene);
    reader->session->encoding = (uint8_t)encoding;
    reader->session->batch = batch;
    reader->session->greets = encoding != FW_ENCODING_SSE;
    reader->gather = fw_gather_new(encoding, batch);
    fw_session_set_origin(reader->session, FW_TEXT("me"));
    for (size_t i = 0; i < CHANNELS; i++)
        (void)fw_hub_join(world->scene.hub, reader->session, fw_text(channels[i]), NULL,
                          FW_TEXT_NONE);
}

static world_t world_new(uint64_t seed)
{
    static const struct {
        fw_encoding_t encoding;
        bool batch;
    } kinds[READERS] = {{FW_ENCODING_JSON, false},     {FW_ENCODING_JSON, true},
                        {FW_ENCODING_PROTOBUF, false}, {FW_ENCODING_PROTOBUF, true},
                        {FW_ENCODING_SSE, false},      {FW_ENCODING_SSE, true}};
    world_t world = {.scene = scene_new(RING), .epoch = TEST_EPOCH};
    world.random = (fw_random_t){seed};
    for (size_t i = 0; i < READERS; i++)
        open_reader(&world, &world.readers[i], kinds[i].encoding, kinds[i].batch);
    scene_answer(&world.scene, TEST_EPOCH, 0);
    for (size_t i = 0; i < READERS; i++)
        fw_hub_await(world.scene.hub, world.readers[i].session);
    return world;
}

static void world_end(world_t *world)
{
    for (size_t i = 0; i < READERS; i++) {
        scene_leave(&world->scene, &world->readers[i].session);
        fw_gather_destroy(&world->readers[i].gather);
        free(world->readers[i].told);
    }
    scene_end(&world->scene);
}

/* What was told without the messages that only those get who count offsets. */
static char *without_positions(const char *told)
{
    char *copy = calloc(1, strlen(told) + 1);
    char *to = copy;
    assert_non_null(copy);
    while (*told) {
        size_t line = strcspn(told, "\n") + 1;
        if (strncmp(told, "fw.position ", 12) != 0) {
            memcpy(to, told, line);
            to += line;
        }
        told += line;
    }
    return copy;
}

/* The order between channels is not promised, and pieces of other sizes end elsewhere: so it is
 * compared for each. */
static char *of_channel(const char *told, const char *channel)
{
    char *copy = calloc(1, strlen(told) + 1);
    char *to = copy;
    assert_non_null(copy);
    while (*told) {
        size_t line = strcspn(told, "\n") + 1;
        const char *space = strchr(told, ' ');
        if (strncmp(space + 1, channel, strlen(channel)) == 0) {
            memcpy(to, told, line);
            to += line;
        }
        told += line;
    }
    return copy;
}

static void compare(const reader_t *one, const reader_t *other)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        char *a = of_channel(one->told, channels[i]);
        char *b = of_channel(other->told, channels[i]);
        char *c = without_positions(a);
        char *d = without_positions(b);
        if (strcmp(c, d) != 0) {
            size_t k = 0;
            while (c[k] == d[k])
                k++;
            fail_msg("%s: ...%.300s\ninstead of ...%.300s", channels[i], d + (k > 80 ? k - 80 : 0),
                     c + (k > 80 ? k - 80 : 0));
        }
        free(a);
        free(b);
        free(c);
        free(d);
    }
}

static uint64_t seed_of_run(void)
{
    const char *given = getenv("FRESHWIRE_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)fw_clock_us();
    print_message("FRESHWIRE_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* All read at the same moments, so that all are lapped at the same places. */
static void every_encoding_tells_the_same(void **state)
{
    (void)state;
    world_t world = world_new(seed_of_run());
    size_t resets = 0;
    for (int step = 0; step < STEPS; step++) {
        uint64_t what = below(&world, 200);
        if (what == 0) {
            begin_anew(&world);
            resets++;
        }
        for (uint64_t count = what < 4 ? 5 * RING : below(&world, 4); count > 0; count--)
            publish(&world);
        if (below(&world, 3) == 0)
            continue;
        (void)scene_marked(&world.scene);
        for (size_t i = 0; i < READERS; i++)
            read_some(&world, &world.readers[i], SIZE_MAX);
    }
    (void)scene_marked(&world.scene);
    for (size_t i = 0; i < READERS; i++)
        read_some(&world, &world.readers[i], SIZE_MAX);
    assert_non_null(strstr(world.readers[0].told, "fw.reset"));
    assert_non_null(strstr(world.readers[0].told, "lapped"));
    for (size_t i = 1; i < READERS; i++)
        compare(&world.readers[0], &world.readers[i]);
    /* The last id of a stream is where the session stands. */
    for (size_t i = 0; i < CHANNELS; i++)
        for (size_t k = 4; k < READERS; k++) {
            assert_true(world.readers[k].places[i].epoch == world.epoch);
            assert_true(world.readers[k].places[i].offset <= world.heads[i]);
        }
    print_message("%zu resets by the broker, %zu bytes told\n", resets, world.readers[0].size);
    world_end(&world);
}

/* A form is made by the first who reads it, shared by the others, and counted. */
static void the_binary_form_is_made_once_and_counted(void **state)
{
    (void)state;
    world_t world = world_new(1);
    for (size_t i = 0; i < READERS; i++)
        read_some(&world, &world.readers[i], SIZE_MAX);
    fw_channel_t *channel = NULL;
    for (int i = 0; i < 10; i++)
        publish(&world);
    (void)scene_marked(&world.scene);
    size_t before = fw_hub_counts(world.scene.hub)->rings_bytes;
    read_some(&world, &world.readers[0], SIZE_MAX);
    read_some(&world, &world.readers[4], SIZE_MAX);
    assert_int_equal(fw_hub_counts(world.scene.hub)->rings_bytes, before);
    read_some(&world, &world.readers[2], SIZE_MAX);
    size_t after = fw_hub_counts(world.scene.hub)->rings_bytes;
    assert_true(after > before);
    read_some(&world, &world.readers[3], SIZE_MAX);
    assert_int_equal(fw_hub_counts(world.scene.hub)->rings_bytes, after);
    size_t rings = 0;
    for (size_t i = 0; i < CHANNELS; i++) {
        channel = fw_hub_find(world.scene.hub, fw_text(channels[i]));
        rings += fw_sync_bytes(&channel->sync);
    }
    assert_int_equal(rings, after);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_encoding_tells_the_same),
        cmocka_unit_test(the_binary_form_is_made_once_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
