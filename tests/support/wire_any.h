/* wire_any.h - one handle for every decoder of the codec.   SPDX-License-Identifier: MPL-2.0
 * For tests and fuzzing: decodes, encodes and compares whatever kind of message it is. */
#pragma once

#include "proto/codec.h"

/* The six links, numbered as fw_link_t, and the messages that travel without an envelope. */
enum {
    FW_ANY_DELIVERY = FW_LINK_GATEWAY_DOWN + 1,
    FW_ANY_BEACON,
    FW_ANY_PUBLICATION,
    FW_ANY_NOTE,
    FW_ANY_PURGED,
    FW_ANY_COUNT
};

typedef struct {
    int decoder; /* fw_link_t or FW_ANY_… */
    union {
        fw_message_t message;
        fw_delivery_t delivery;
        fw_beacon_t beacon;
        fw_publication_t publication;
        fw_note_t note;
        fw_purged_t purged;
    };
} fw_any_t;

/* As fw_codec_decode. */
int fw_any_decode(fw_codec_t *codec, int decoder, fw_bytes_t data, fw_any_t *ret_any,
                  fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
/* Without the topic of event frames. */
fw_bytes_t fw_any_encode(fw_codec_t *codec, const fw_any_t *any);
/* Every field alike; typed payloads by their encoded bytes. */
bool fw_any_equal(const fw_any_t *a, const fw_any_t *b);
