/* fake_intake.h - the broker's end of the publish link, for tests of publishers.
 * SPDX-License-Identifier: MPL-2.0 A ROUTER socket that is served by the test's own thread and
 * answers as it is told. Whatever fails here ends the test program with a message. */
#pragma once

#include "proto/codec.h"

enum { FAKE_INTAKE_EVENTS_MAX = 20000, FAKE_INTAKE_ID_SIZE = 40 };

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
    char last_id[FAKE_INTAKE_ID_SIZE];
    uint64_t last_request_id, last_sequence;
    fw_ack_level_t last_level;
    /* Every event id once, with how often it came. */
    char ids[FAKE_INTAKE_EVENTS_MAX][FAKE_INTAKE_ID_SIZE];
    unsigned arrivals[FAKE_INTAKE_EVENTS_MAX];
    size_t ids_count;
} fake_intake_state_t;

typedef struct fake_intake fake_intake_t;

/* Binds a free port of 127.0.0.1; answers OK with a credit of 1,000. */
fake_intake_t *fake_intake_new(void);
void fake_intake_destroy(fake_intake_t **self_p);
fake_intake_state_t *fake_intake_state(fake_intake_t *self);
const char *fake_intake_endpoint(const fake_intake_t *self); /* the same over restarts */

/* Closes the socket: connections are cut and refused. */
void fake_intake_down(fake_intake_t *self);
/* Binds the same port again, as a new incarnation. */
void fake_intake_up(fake_intake_t *self);
/* Answers everything that has come. */
void fake_intake_serve(fake_intake_t *self);
/* Acknowledges an event to the peer that was heard last. */
void fake_intake_acknowledge(fake_intake_t *self, uint64_t request_id, fw_publish_status_t status);
