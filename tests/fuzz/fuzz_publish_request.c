/* fuzz_publish_request.c - any bytes as the body of POST /v1/events, and as paths and headers.
 * SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>

#include <jansson.h>

#include "gateway/json_scan.h"
#include "gateway/publish_request.h"
#include "gateway/route.h"
#include "proto/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What is cut out as the data of an event must be one JSON value by itself. */
static void check_event(const fw_event_t *event)
{
    require(event->type.size > 0);
    require(event->audience_count <= FW_AUDIENCE_MAX);
    if (event->data.kind != FW_PAYLOAD_JSON)
        return;
    json_t *value = json_loadb((const char *)event->data.bytes.data, event->data.bytes.size,
                               JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    require(value != NULL);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fw_publish_request_t request;
    fw_refusal_t refusal = {.reason = ""};
    if (fw_publish_request_parse((fw_bytes_t){data, size}, FW_TEXT_NONE, &request, &refusal) == 0) {
        check_event(&request.event);
        fw_publish_request_clear(&request);
    } else {
        require(refusal.reason[0] != '\0');
    }
    char *text = strndup(size > 0 ? (const char *)data : "", size);
    char first[FW_SUBPROTOCOL_SIZE_MAX + 1];
    fw_text_t value;
    (void)fw_route_parse(FW_TEXT("/api"), fw_text(text));
    (void)fw_route_subprotocol(fw_text(text), first);
    require(strlen(first) <= FW_SUBPROTOCOL_SIZE_MAX);
    (void)fw_route_bearer(fw_text(text));
    (void)fw_route_argument(fw_text(text), "token", &value);
    free(text);
    return 0;
}
