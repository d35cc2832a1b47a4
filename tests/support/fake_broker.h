/* fake_broker.h - a broker that does as a test tells it, on real sockets.
 * SPDX-License-Identifier: MPL-2.0
 * Single-threaded: fake_broker_turn does what is due. Answers greetings, pings, positions and
 * replays by itself. */
#pragma once

#include "proto/codec.h"

enum { FAKE_EVENTS_MAX = 8192, FAKE_BEACON_MS = 100 };

typedef struct fake_broker fake_broker_t;

/* What it does with a published event. */
typedef enum {
    FAKE_ACCEPT, /* gives it a place in each channel, acknowledges, releases */
    FAKE_REJECT,
    FAKE_POSTPONE, /* RETRY once for each event, then accepts */
    FAKE_SILENT,
} fake_publish_t;

typedef struct {
    fake_publish_t publish;
    bool mute;             /* says nothing at all, reads everything */
    bool holds_positions;  /* does not answer positions requests */
    bool refuses_replays;  /* answers RESET */
    bool unconfirmed;      /* its answers say so */
    uint32_t replay_limit; /* events in one answer; 0 = as asked */
} fake_settings_t;

typedef struct {
    unsigned hellos, positions, replays, fences, published, goodbyes;
    size_t subscriptions; /* that are in force */
} fake_counts_t;

fake_broker_t *fake_broker_new(void);
void fake_broker_destroy(fake_broker_t **self_p);
fake_settings_t *fake_broker_settings(fake_broker_t *self);
const fake_counts_t *fake_broker_counts(const fake_broker_t *self);

const char *fake_broker_events(const fake_broker_t *self);
const char *fake_broker_control(const fake_broker_t *self);
const char *fake_broker_publish(const fake_broker_t *self);

/* A hook for ws_client: does what is due. */
void fake_broker_turn(void *self);

uint64_t fake_broker_epoch(const fake_broker_t *self);
/* What it released last in a channel. */
uint64_t fake_broker_visible(const fake_broker_t *self, const char *channel);

typedef struct {
    const char *channel;
    const char *type;           /* NULL = "t" */
    const char *data;           /* JSON; NULL = the offset */
    const char *exclude_user;   /* NULL = nobody */
    const char *exclude_origin; /* likewise */
    bool lost;                  /* released, but the events link loses it */
} fake_event_t;

/* Releases one event; returns its offset. */
uint64_t fake_broker_release(fake_broker_t *self, const fake_event_t *event);
/* Sends a frame on the events link as it is. */
void fake_broker_send_event_frame(fake_broker_t *self, const void *data, size_t size);
/* The next beacons are lost. */
void fake_broker_skip_beacons(fake_broker_t *self, unsigned count);
/* Closes its sockets, and comes back, which fake_broker_restart does at once. */
void fake_broker_down(fake_broker_t *self);
void fake_broker_up(fake_broker_t *self, bool forgets);
/* Closes its sockets and comes back on the same ports: with new epochs and no history, or as it
 * was. */
void fake_broker_restart(fake_broker_t *self, bool forgets);
/* The last event that was published to it, as JSON of {"type","data","id","audience"}. */
const char *fake_broker_last_published(const fake_broker_t *self);
