/* fake_broker.h - the broker's end of the publish link, for tests of publishers.
 * SPDX-License-Identifier: MPL-2.0 A ROUTER socket that is served by the test's own thread and
 * answers as it is told. Whatever fails here ends the test program with a message. */
#pragma once

#include "proto/codec.h"

enum { FAKE_BROKER_EVENTS_MAX = 20000, FAKE_BROKER_ID_SIZE = 40 };

typedef enum {
    FAKE_ANSWER,  /* Welcome, Pong, an acknowledgement with status */
    FAKE_IGNORE,  /* reads everything, answers nothing */
    FAKE_GARBAGE, /* answers what is no message */
    FAKE_GOODBYE, /* answers events with Goodbye */
} fake_mode_t;

typedef struct {
    fake_mode_t mode;
    fw_publish_status_t status;
    uint32_t version;
    uint32_t credit;
    uint32_t retry_after_ms;
    unsigned copies; /* of every acknowledgement */
    /* What came. */
    unsigned hellos, pings, goodbyes;
    unsigned publishes; /* also repeated ones */
    char last_id[FAKE_BROKER_ID_SIZE];
    uint64_t last_request_id, last_sequence;
    fw_ack_level_t last_level;
    /* Every event id once, with how often it came. */
    char ids[FAKE_BROKER_EVENTS_MAX][FAKE_BROKER_ID_SIZE];
    unsigned arrivals[FAKE_BROKER_EVENTS_MAX];
    size_t ids_count;
} fake_broker_state_t;

typedef struct fake_broker fake_broker_t;

/* Binds a free port of 127.0.0.1; answers OK with a credit of 1,000. */
fake_broker_t *fake_broker_new(void);
void fake_broker_destroy(fake_broker_t **self_p);
fake_broker_state_t *fake_broker_state(fake_broker_t *self);
const char *fake_broker_endpoint(const fake_broker_t *self); /* the same over restarts */

/* Closes the socket: connections are cut and refused. */
void fake_broker_down(fake_broker_t *self);
/* Binds the same port again, as a new incarnation. */
void fake_broker_up(fake_broker_t *self);
/* Answers everything that has come. */
void fake_broker_serve(fake_broker_t *self);
/* Acknowledges an event to the peer that was heard last. */
void fake_broker_acknowledge(fake_broker_t *self, uint64_t request_id, fw_publish_status_t status);
