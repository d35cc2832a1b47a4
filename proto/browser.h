/* browser.h - messages of the browser protocol, from JSON to protobuf and back.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. freshwire.v1.protobuf says what freshwire.v1.json says: one is made from the other by the
 * names in browser.proto, so that there is one definition of each message and none can be
 * forgotten. */
#pragma once

#include "proto/codec.h"

/* Of a ClientMessage, beside the limits of events; beyond: refused. */
enum {
    FW_BROWSER_TOKEN_SIZE_MAX = 16 * 1024,
    FW_BROWSER_REQUEST_ID_SIZE_MAX = 64,
    FW_BROWSER_SUBSCRIPTIONS_MAX = 10000,
};

/* Writes the ServerMessage that says the same as a JSON object which this process made (it must be
 * valid): an event when its type does not begin with "fw.". data: what the event's data was when it
 * was published, since JSON does not tell base64 from any other text. Returns the bytes written, or
 * the size needed when it is larger than size (then nothing useful is written); 0 when
 * browser.proto knows no such message. */
size_t fw_browser_encode(fw_bytes_t json, fw_payload_kind_t data, uint8_t *buffer, size_t size);

/* The bytes before the messages of a ServerBatch whose elements take so many bytes in all, and
 * before one element. Each returns the size of what it wrote. */
enum { FW_BROWSER_HEAD_SIZE_MAX = 16 };
size_t fw_browser_batch_head(size_t elements_size, uint8_t ret_head[FW_BROWSER_HEAD_SIZE_MAX]);
size_t fw_browser_element_head(size_t message_size, uint8_t ret_head[FW_BROWSER_HEAD_SIZE_MAX]);

/* Reads a ClientMessage, bounded as everything from outside is, and writes what it says as the JSON
 * object that a client of freshwire.v1.json would have sent. The result borrows from the codec,
 * until it encodes again. 0; -EBADMSG or -EMSGSIZE with ret_refusal. */
int fw_browser_decode(fw_codec_t *codec, fw_bytes_t data, fw_bytes_t *ret_json,
                      fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
