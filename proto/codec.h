/* codec.h - every message between Freshwire processes, decoded and encoded.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. The only code that sees protobuf-c. A decoder first walks the bytes and checks every size,
 * count and text against the limits of wire_limits.c, and only then allocates. Not
 * thread-safe: one codec an actor. */
#pragma once

#include "proto/event.h"
#include "proto/message.h"

typedef struct fw_codec fw_codec_t;

/* A codec owns the memory of its last decoded message and a buffer for the last encoded one. */
fw_codec_t *fw_codec_new(void) __attribute__((warn_unused_result));
void fw_codec_destroy(fw_codec_t **self_p);

/* Decodes one message of a link. The result borrows from data and from the codec, until the codec
 * decodes again. 0; -EBADMSG when the bytes are not such a message, -EMSGSIZE when a limit is
 * passed, -EPROTO when a value is not allowed: ret_refusal then says which field. Never more than
 * one error is reported. */
int fw_codec_decode(fw_codec_t *self, fw_link_t link, fw_bytes_t data, fw_message_t *ret_message,
                    fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
/* The request_id of a Publish on FW_LINK_PUBLISHER_UP that fw_codec_decode refused, so that the
 * refusal can be an acknowledgement; 0 when it cannot be read. */
uint64_t fw_codec_refused_request(fw_bytes_t data);

/* Decodes the body of an event frame (after its topic), as above. */
int fw_codec_decode_delivery(fw_codec_t *self, fw_bytes_t data, fw_delivery_t *ret_delivery,
                             fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
int fw_codec_decode_beacon(fw_codec_t *self, fw_bytes_t data, fw_beacon_t *ret_beacon,
                           fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
int fw_codec_decode_purged(fw_codec_t *self, fw_bytes_t data, fw_purged_t *ret_purged,
                           fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
/* Decodes the body of an event frame that fw_codec_decode_delivery refused for want of a position:
 * it may hold a note. */
int fw_codec_decode_note(fw_codec_t *self, fw_bytes_t data, fw_note_t *ret_note,
                         fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
/* Decodes a publication without ending the life of what the last other decode returned. */
int fw_codec_decode_publication(fw_codec_t *self, fw_bytes_t data,
                                fw_publication_t *ret_publication, fw_refusal_t *ret_refusal)
    __attribute__((warn_unused_result));

/* Encoders. The result borrows from the codec, until it encodes again. The message must be one that
 * the link carries, and its texts end with 0 (assert). Limits are the sender's business, since the
 * receiver refuses what passes them; only words for people (names, reasons) are cut to fit and
 * freed of what is not UTF-8. */
fw_bytes_t fw_codec_encode(fw_codec_t *self, fw_link_t link, const fw_message_t *message);
fw_bytes_t fw_codec_encode_publication(fw_codec_t *self, const fw_event_t *event);
/* An event frame: the channel's topic and the delivery. */
fw_bytes_t fw_codec_encode_event_frame(fw_codec_t *self, const fw_delivery_t *delivery);
fw_bytes_t fw_codec_encode_note_frame(fw_codec_t *self, const fw_note_t *note);
fw_bytes_t fw_codec_encode_beacon_frame(fw_codec_t *self, const fw_beacon_t *beacon);
fw_bytes_t fw_codec_encode_purged_frame(fw_codec_t *self, const fw_purged_t *purged);

/* Writes a payload as one JSON value (typed: an object with the proto's field names, 64-bit numbers
 * as strings; binary: a base64 string; none: null). JSON payloads are copied, with spaces for line
 * breaks: a frame may hold several events, one a line. Returns the bytes written, or the size
 * needed when it is larger than size (then nothing useful is written). */
size_t fw_codec_payload_json(const fw_payload_t *payload, char *buffer, size_t size);
