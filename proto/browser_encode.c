/* browser_encode.c - from the JSON of the gateway to a ServerMessage.   SPDX-License-Identifier:
 * MPL-2.0
 * The JSON was made by this process and its data was checked when it was published, so the reader
 * only has to find its way; what it would misread ends a message early, never the buffer. */
#include "freshwire/v1/browser.pb-c.h"
#include "proto/browser.h"
#include "proto/codec_internal.h"
#include "proto/position.h"

enum {
    NUMBER = PROTOBUF_C_WIRE_TYPE_VARINT,
    PREFIXED = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
    NAME_SIZE_MAX = 32, /* of a member that browser.proto may know */
    VARINT_SIZE_MAX = 10,
};

#define FIELD_OF_EVENT 1    /* ServerMessage.event */
#define FIELD_OF_BATCH 2    /* ServerMessage.batch */
#define FIELD_OF_MESSAGES 1 /* ServerBatch.messages */
#define FIELD_OF_JSON 1     /* Payload.json */
#define FIELD_OF_BINARY 2   /* Payload.binary */
#define FIELD_OF_EPOCH 1    /* Position.epoch */
#define FIELD_OF_OFFSET 2   /* Position.offset */

/* Counts on when it is full, as fw_json_t does. */
typedef struct {
    uint8_t *buffer;
    size_t size;
    size_t needed;
} writer_t;

typedef struct {
    const uint8_t *at, *end;
} reader_t;

/* ------ writing */

static void put(writer_t *writer, const void *bytes, size_t size)
{
    if (size > 0 && writer->needed + size <= writer->size)
        memcpy(writer->buffer + writer->needed, bytes, size);
    writer->needed += size;
}

static size_t format_varint(uint64_t number, uint8_t ret_bytes[VARINT_SIZE_MAX])
{
    size_t size = 0;
    while (number >= 0x80) {
        ret_bytes[size++] = (uint8_t)(number | 0x80);
        number >>= 7;
    }
    ret_bytes[size++] = (uint8_t)number;
    return size;
}

static void put_varint(writer_t *writer, uint64_t number)
{
    uint8_t bytes[VARINT_SIZE_MAX];
    put(writer, bytes, format_varint(number, bytes));
}

static void put_tag(writer_t *writer, uint32_t field, unsigned wire_type)
{
    put_varint(writer, (uint64_t)field << 3 | wire_type);
}

static void put_number(writer_t *writer, uint32_t field, uint64_t number)
{
    if (number == 0)
        return; /* the same as unset */
    put_tag(writer, field, NUMBER);
    put_varint(writer, number);
}

/* What was written since begin becomes the content of a field: its tag and length go before it. */
static void wrap(writer_t *writer, size_t begin, uint32_t field)
{
    uint8_t bytes[2 * VARINT_SIZE_MAX];
    size_t content = writer->needed - begin;
    size_t head = format_varint((uint64_t)field << 3 | PREFIXED, bytes);
    head += format_varint(content, bytes + head);
    if (writer->needed + head <= writer->size) {
        memmove(writer->buffer + begin + head, writer->buffer + begin, content);
        memcpy(writer->buffer + begin, bytes, head);
    }
    writer->needed += head;
}

/* ------ reading */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(reader_t *reader)
{
    while (reader->at < reader->end && is_space(*reader->at))
        reader->at++;
}

/* Takes a character if it is next. */
static bool take(reader_t *reader, uint8_t c)
{
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

/* The text between the quotes, still escaped. */
static fw_bytes_t take_string(reader_t *reader)
{
    if (!take(reader, '"'))
        return (fw_bytes_t){reader->at, 0};
    const uint8_t *begin = reader->at;
    while (reader->at < reader->end && *reader->at != '"')
        reader->at += *reader->at == '\\' && reader->end - reader->at > 1 ? 2 : 1;
    fw_bytes_t text = {begin, (size_t)(reader->at - begin)};
    if (reader->at < reader->end)
        reader->at++;
    return text;
}

/* Any value, as it lies there. */
static fw_bytes_t take_value(reader_t *reader)
{
    skip_space(reader);
    const uint8_t *begin = reader->at;
    unsigned depth = 0;
    while (reader->at < reader->end) {
        uint8_t c = *reader->at;
        if (c == '"') {
            (void)take_string(reader);
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            break;
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        reader->at++;
    }
    return (fw_bytes_t){begin, (size_t)(reader->at - begin)};
}

/* The next member of an object or element of a list, whose opening bracket or last value was read.
 */
static bool next_member(reader_t *reader, bool *first, fw_bytes_t *ret_name)
{
    if (!take(reader, *first ? '{' : ','))
        return false;
    *first = false;
    *ret_name = take_string(reader);
    return take(reader, ':');
}

static fw_bytes_t without_quotes(fw_bytes_t value)
{
    reader_t reader = {value.data, value.data + value.size};
    return value.size > 0 && *value.data == '"' ? take_string(&reader) : value;
}

/* A decimal number, in quotes or not; a negative one as its two's complement. */
static uint64_t number_of(fw_bytes_t value)
{
    fw_bytes_t text = without_quotes(value);
    uint64_t number = 0;
    bool negative = text.size > 0 && text.data[0] == '-';
    for (size_t i = negative ? 1 : 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            break;
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    return negative ? 0 - number : number;
}

static bool is(fw_bytes_t text, const char *word)
{
    return text.size == strlen(word) && (text.size == 0 || memcmp(text.data, word, text.size) == 0);
}

/* ------ values */

static unsigned hex_of(const uint8_t digits[4])
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = digits[i];
        value = value << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value & 0xffff;
}

static void put_utf8(writer_t *writer, unsigned c)
{
    uint8_t bytes[4];
    if (c < 0x80) {
        bytes[0] = (uint8_t)c;
        put(writer, bytes, 1);
    } else if (c < 0x800) {
        bytes[0] = (uint8_t)(0xc0 | c >> 6);
        bytes[1] = (uint8_t)(0x80 | (c & 63));
        put(writer, bytes, 2);
    } else if (c < 0x10000) {
        bytes[0] = (uint8_t)(0xe0 | c >> 12);
        bytes[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        bytes[2] = (uint8_t)(0x80 | (c & 63));
        put(writer, bytes, 3);
    } else {
        bytes[0] = (uint8_t)(0xf0 | c >> 18);
        bytes[1] = (uint8_t)(0x80 | (c >> 12 & 63));
        bytes[2] = (uint8_t)(0x80 | (c >> 6 & 63));
        bytes[3] = (uint8_t)(0x80 | (c & 63));
        put(writer, bytes, 4);
    }
}

/* Writes what an escape stands for; returns its length. */
static size_t put_escape(writer_t *writer, fw_bytes_t text, size_t i)
{
    static const char pairs[] = "b\bf\fn\nr\rt\t";
    uint8_t c = i + 1 < text.size ? text.data[i + 1] : '\\';
    if (c == 'u' && text.size - i >= 6) {
        unsigned code = hex_of(text.data + i + 2);
        bool pair = (code & 0xfc00) == 0xd800 && text.size - i >= 12 && text.data[i + 6] == '\\' &&
                    text.data[i + 7] == 'u';
        if (pair)
            code = 0x10000 + ((code & 0x3ff) << 10) + (hex_of(text.data + i + 8) & 0x3ff);
        put_utf8(writer, code);
        return pair ? 12 : 6;
    }
    for (size_t k = 0; k + 1 < sizeof pairs; k += 2)
        if ((uint8_t)pairs[k] == c)
            c = (uint8_t)pairs[k + 1];
    put(writer, &c, 1);
    return 2;
}

/* Appends an escaped text as what it stands for. */
static void put_unescaped(writer_t *writer, fw_bytes_t text)
{
    size_t begin = 0;
    size_t i = 0;
    while (i < text.size) {
        if (text.data[i] != '\\') {
            i++;
            continue;
        }
        put(writer, text.data + begin, i - begin);
        i += put_escape(writer, text, i);
        begin = i;
    }
    if (begin < text.size)
        put(writer, text.data + begin, text.size - begin);
}

static unsigned digit_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26U;
    if (c >= '0' && c <= '9')
        return c - '0' + 52U;
    return c == '+' ? 62 : 63;
}

static void put_base64(writer_t *writer, fw_bytes_t text)
{
    for (size_t i = 0; i + 4 <= text.size; i += 4) {
        uint32_t group = 0;
        size_t count = text.data[i + 2] == '=' ? 1 : text.data[i + 3] == '=' ? 2 : 3;
        for (size_t k = 0; k < 4; k++)
            group = group << 6 | (k <= count ? digit_of(text.data[i + k]) : 0);
        uint8_t bytes[3] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8), (uint8_t)group};
        put(writer, bytes, count);
    }
}

/* ------ messages */

static void put_object(writer_t *writer, const ProtobufCMessageDescriptor *descriptor,
                       reader_t *reader);

static void put_field(writer_t *writer, const ProtobufCFieldDescriptor *field, fw_bytes_t value)
{
    size_t begin = writer->needed;
    reader_t inside = {value.data, value.data + value.size};
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        put_unescaped(writer, without_quotes(value));
        break;
    case PROTOBUF_C_TYPE_BOOL:
        put_number(writer, field->id, is(value, "true") ? 1 : 0);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        put_object(writer, field->descriptor, &inside);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
        put_number(writer, field->id, number_of(value));
        return;
    default:
        return; /* no message of browser.proto and no typed payload has such a field */
    }
    if (writer->needed > begin || field->label == PROTOBUF_C_LABEL_REPEATED)
        wrap(writer, begin, field->id);
}

static void put_list(writer_t *writer, const ProtobufCFieldDescriptor *field, fw_bytes_t value)
{
    reader_t reader = {value.data, value.data + value.size};
    if (!take(&reader, '['))
        return;
    skip_space(&reader);
    while (reader.at < reader.end && *reader.at != ']') {
        put_field(writer, field, take_value(&reader));
        if (!take(&reader, ','))
            break;
    }
}

/* A position is two members in JSON. */
static void put_position(writer_t *writer, const ProtobufCFieldDescriptor *field, uint64_t epoch,
                         uint64_t offset)
{
    size_t begin = writer->needed;
    put_number(writer, FIELD_OF_EPOCH, epoch);
    put_number(writer, FIELD_OF_OFFSET, offset);
    wrap(writer, begin, field->id);
}

static uint64_t epoch_of(fw_bytes_t value)
{
    char buffer[FW_EPOCH_TEXT_SIZE_MAX + 1];
    fw_bytes_t text = without_quotes(value);
    uint64_t epoch = 0;
    if (text.size > FW_EPOCH_TEXT_SIZE_MAX)
        return 0;
    memcpy(buffer, text.data, text.size);
    buffer[text.size] = '\0';
    return fw_epoch_parse((fw_text_t){buffer, text.size}, &epoch) == 0 ? epoch : 0;
}

static const ProtobufCFieldDescriptor *field_named(const ProtobufCMessageDescriptor *descriptor,
                                                   fw_bytes_t name)
{
    char text[NAME_SIZE_MAX + 1];
    if (name.size == 0 || name.size > NAME_SIZE_MAX)
        return NULL;
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    return protobuf_c_message_descriptor_get_field_by_name(descriptor, text);
}

static void put_object(writer_t *writer, const ProtobufCMessageDescriptor *descriptor,
                       reader_t *reader)
{
    const ProtobufCFieldDescriptor *position =
        protobuf_c_message_descriptor_get_field_by_name(descriptor, "position");
    bool first = true;
    bool placed = false;
    uint64_t epoch = 0;
    uint64_t offset = 0;
    fw_bytes_t name;
    while (next_member(reader, &first, &name)) {
        fw_bytes_t value = take_value(reader);
        const ProtobufCFieldDescriptor *field = field_named(descriptor, name);
        if (position && is(name, "epoch")) {
            epoch = epoch_of(value);
            placed = true;
        } else if (position && is(name, "offset")) {
            offset = number_of(value);
        } else if (field && field->label == PROTOBUF_C_LABEL_REPEATED) {
            put_list(writer, field, value);
        } else if (field && field->descriptor != &freshwire__v1__payload__descriptor) {
            put_field(writer, field, value); /* payloads: see put_event */
        }
    }
    if (placed)
        put_position(writer, position, epoch, offset);
}

static void put_payload(writer_t *writer, fw_payload_kind_t kind, fw_bytes_t type, fw_bytes_t value)
{
    const fw_typed_payload_t *typed = NULL;
    reader_t reader = {value.data, value.data + value.size};
    uint32_t field = FIELD_OF_JSON;
    size_t begin = writer->needed;
    if (kind == FW_PAYLOAD_TYPED)
        typed = fw_typed_payload_of_type((fw_text_t){(const char *)type.data, type.size});
    if (typed) {
        field = (uint32_t)typed->kind;
        put_object(writer, typed->descriptor, &reader);
    } else if (kind == FW_PAYLOAD_BINARY) {
        field = FIELD_OF_BINARY;
        put_base64(writer, without_quotes(value));
    } else {
        put(writer, value.data, value.size);
    }
    wrap(writer, begin, field);
}

static void put_event(writer_t *writer, reader_t *reader, fw_payload_kind_t data)
{
    const ProtobufCMessageDescriptor *descriptor = &freshwire__v1__channel_event__descriptor;
    reader_t again = *reader;
    fw_bytes_t type = {NULL, 0};
    fw_bytes_t name;
    bool first = true;
    while (next_member(reader, &first, &name)) {
        fw_bytes_t value = take_value(reader);
        size_t begin = writer->needed;
        if (is(name, "type"))
            type = without_quotes(value);
        if (!is(name, "data"))
            continue;
        if (data == FW_PAYLOAD_NONE)
            continue;
        put_payload(writer, data, type, value);
        wrap(writer, begin, field_named(descriptor, name)->id);
    }
    put_object(writer, descriptor, &again);
    wrap(writer, 0, FIELD_OF_EVENT);
}

size_t fw_browser_encode(fw_bytes_t json, fw_payload_kind_t data, uint8_t *buffer, size_t size)
{
    static const char prefix[] = "fw.";
    const size_t prefix_size = sizeof prefix - 1;
    writer_t writer = {buffer, size, 0};
    reader_t reader = {json.data, json.data + json.size};
    reader_t peek = reader;
    fw_bytes_t name;
    bool first = true;
    if (!next_member(&peek, &first, &name) || !is(name, "type"))
        return 0;
    fw_bytes_t type = take_string(&peek);
    if (type.size < prefix_size || memcmp(type.data, prefix, prefix_size) != 0) {
        put_event(&writer, &reader, data);
        return writer.needed;
    }
    const ProtobufCFieldDescriptor *field =
        field_named(&freshwire__v1__server_message__descriptor,
                    (fw_bytes_t){type.data + prefix_size, type.size - prefix_size});
    if (!field)
        return 0;
    put_object(&writer, field->descriptor, &reader);
    wrap(&writer, 0, field->id);
    return writer.needed;
}

size_t fw_browser_element_head(size_t message_size, uint8_t ret_head[FW_BROWSER_HEAD_SIZE_MAX])
{
    ret_head[0] = FIELD_OF_MESSAGES << 3 | PREFIXED;
    return 1 + format_varint(message_size, ret_head + 1);
}

size_t fw_browser_batch_head(size_t elements_size, uint8_t ret_head[FW_BROWSER_HEAD_SIZE_MAX])
{
    ret_head[0] = FIELD_OF_BATCH << 3 | PREFIXED;
    return 1 + format_varint(elements_size, ret_head + 1);
}
