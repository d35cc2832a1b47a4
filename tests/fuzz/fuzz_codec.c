/* fuzz_codec.c - any bytes to any decoder of the codec: the first byte chooses which.
 * SPDX-License-Identifier: MPL-2.0
 * What is accepted must be written and read again without a change; an event that passes its rules
 * must become a publication and one line of JSON. */
#include <stdlib.h>

#include "proto/json_check.h"
#include "tests/support/wire_any.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static fw_codec_t *reader, *again;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_json(const fw_payload_t *payload)
{
    size_t size = fw_codec_payload_json(payload, NULL, 0);
    char *text = malloc(size);
    require(text != NULL);
    require(fw_codec_payload_json(payload, text, size) == size);
    require(fw_json_valid((fw_bytes_t){(const uint8_t *)text, size}));
    require(!memchr(text, '\n', size));
    free(text);
}

static void check_event(const fw_event_t *event)
{
    fw_refusal_t refusal;
    fw_publication_t publication;
    if (fw_event_check(event, &refusal) != 0) {
        require(refusal.field[0] && refusal.reason[0]);
        return;
    }
    check_json(&event->data);
    fw_bytes_t encoded = fw_codec_encode_publication(reader, event);
    require(encoded.size <= FW_PUBLICATION_SIZE_MAX);
    require(fw_codec_decode_publication(again, encoded, &publication, &refusal) == 0);
    require(publication.data.kind == event->data.kind);
    require(fw_bytes_equal(publication.data.bytes, event->data.bytes));
    require(fw_text_equal(publication.type, event->type));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fw_any_t any, copy;
    fw_refusal_t refusal = {0};
    if (!reader) {
        reader = fw_codec_new();
        again = fw_codec_new();
    }
    if (size == 0)
        return 0;
    int decoder = data[0] % FW_ANY_COUNT;
    fw_bytes_t frame = {data + 1, size - 1};
    (void)fw_codec_refused_request(frame);
    if (fw_any_decode(reader, decoder, frame, &any, &refusal) != 0) {
        require(refusal.field[0] && refusal.reason[0]);
        require(!strstr(refusal.reason, "passed the check"));
        return 0;
    }
    fw_bytes_t written = fw_any_encode(reader, &any);
    require(fw_any_decode(again, decoder, written, &copy, &refusal) == 0);
    require(fw_any_equal(&any, &copy));
    if (decoder == FW_LINK_PUBLISHER_UP && any.message.kind == FW_MESSAGE_PUBLISH)
        check_event(&any.message.publish.event);
    return 0;
}
