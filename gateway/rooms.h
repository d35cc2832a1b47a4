/* rooms.h - presence and notes of a shard's channels.   SPDX-License-Identifier: MPL-2.0
 * Pure. Stands between the hub, which knows channels and sessions, the roster, which knows who is
 * in which room, and the notes of channels. Only sessions with a token that allows presence in a
 * room are seen in it. All notes together are bounded: beyond FW_ROOMS_BYTES_MAX a channel loses
 * its older ones to a new one, or the new one is dropped. */
#pragma once

#include "gateway/hub.h"
#include "gateway/notes.h"
#include "gateway/roster.h"

enum {
    FW_ROOMS_BYTES_MAX = 64 * 1024 * 1024,  /* of notes, lists included */
    FW_ROSTER_BYTES_MAX = 64 * 1024 * 1024, /* of the roster */
    FW_ROOMS_TICK_MS = 1000,
};

typedef struct {
    size_t notes_bytes;
    uint64_t changes; /* notes of presence */
    uint64_t events;  /* notes of clients */
    uint64_t lists;   /* of members, made for who came */
    uint64_t dropped; /* for want of memory */
    uint64_t refused; /* that could not be read */
} fw_rooms_counts_t;

/* The hub calls fw_rooms_joined, _leaving and _forget; it is destroyed first. */
fw_rooms_t *fw_rooms_new(fw_hub_t *hub) __attribute__((warn_unused_result));
void fw_rooms_destroy(fw_rooms_t **self_p);
fw_roster_t *fw_rooms_roster(fw_rooms_t *self);
const fw_rooms_counts_t *fw_rooms_counts(const fw_rooms_t *self);

/* A session listens to a channel, or is about to leave it; on_purpose: it said so. */
void fw_rooms_joined(fw_rooms_t *self, fw_session_t *session, uint32_t index);
void fw_rooms_leaving(fw_rooms_t *self, fw_session_t *session, uint32_t index, bool on_purpose);
/* The channel is about to go. */
void fw_rooms_forget(fw_rooms_t *self, fw_channel_t *channel);

/* Whether the session wants to know who is in the room; its claims allow it. */
void fw_rooms_watch(fw_rooms_t *self, fw_session_t *session, uint32_t index, bool watches);
/* The session has other claims: is it still seen, may it still watch? True when it watched
 * something that it may not any more: *ret_index is (one of) those, to be asked again until false.
 */
bool fw_rooms_recheck(fw_rooms_t *self, fw_session_t *session, uint32_t *ret_index);

/* A note of the broker. codec: decodes its publication. 0, or a negative errno when it cannot be
 * read. */
int fw_rooms_note(fw_rooms_t *self, const fw_note_t *note, fw_codec_t *codec, int64_t now_us,
                  fw_refusal_t *ret_refusal) __attribute__((warn_unused_result));
/* To be called every 100 ms or so. */
void fw_rooms_tick(fw_rooms_t *self, int64_t now_us);
