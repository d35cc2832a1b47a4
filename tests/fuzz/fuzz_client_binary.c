/* fuzz_client_binary.c - any bytes as a ClientMessage, and as the id of a stream.
 * SPDX-License-Identifier: MPL-2.0
 * What is accepted must be one JSON object, which the parser of clients takes or refuses like any
 * other; an id that is accepted must give places for exactly the channels that were asked for. */
#include <stdlib.h>

#include <jansson.h>

#include "gateway/client_message.h"
#include "gateway/json_scan.h"
#include "gateway/sse.h"
#include "proto/browser.h"

enum { SUBSCRIPTIONS_MAX = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void read_message(fw_bytes_t data)
{
    fw_codec_t *codec = fw_codec_new();
    fw_bytes_t json;
    fw_refusal_t refusal;
    if (fw_browser_decode(codec, data, &json, &refusal) == 0) {
        json_t *object = json_loadb((const char *)json.data, json.size, JSON_ALLOW_NUL, NULL);
        /* Data may hold numbers that jansson does not take; then the parser refuses them too. */
        fw_client_message_t message;
        const char *reason = "";
        int result = fw_client_message_parse(json, SUBSCRIPTIONS_MAX, &message, &reason);
        require(object ? json_is_object(object) : result != 0);
        require(result == 0 || *reason != '\0');
        fw_client_message_clear(&message);
        json_decref(object);
    } else {
        require(refusal.field[0] != '\0' && refusal.reason[0] != '\0');
    }
    fw_codec_destroy(&codec);
}

static void read_id(const uint8_t *data, size_t size)
{
    const fw_text_t names[] = {FW_TEXT("broadcast"), FW_TEXT("user:9"), FW_TEXT("room:1")};
    fw_position_t positions[3];
    char *text = malloc(size + 1);
    require(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    fw_text_t id = {text, strlen(text)};
    for (size_t count = 0; count <= 3; count++)
        if (fw_sse_id_parse(id, names, count, positions) == 0)
            require(id.size >= (5 + 9 * count) * 4 / 3);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        read_message((fw_bytes_t){data, size});
        read_id(data, size);
    }
    return 0;
}
