/* browser.h - what one simulated browser knows, and whether what it is told keeps the promise.
 * SPDX-License-Identifier: MPL-2.0
 * Fed with the very bytes that a gateway would write to its socket. */
#pragma once

#include "proto/codec.h"
#include "tests/simulation/backend.h"

enum { SIM_BROWSER_CHANNELS_MAX = 4 };

typedef struct {
    size_t channel; /* index in the truth */
    bool known;     /* position holds */
    bool broken;    /* welcomed without recovery: a reset must come before any event */
    fw_position_t position;
} sim_place_t;

typedef struct {
    size_t number;
    sim_place_t places[SIM_BROWSER_CHANNELS_MAX];
    size_t places_count;
    bool welcomed;
    sim_backend_t *backend;       /* what it fetches from */
    uint32_t screen[SIM_OBJECTS]; /* versions shown, 0 = none */
    uint32_t told[SIM_OBJECTS];   /* newest event heard of */
    bool excused[SIM_OBJECTS];    /* read while a purge was owed */
    uint64_t events, resets, doubtful, excuses;
} sim_browser_t;

/* Reads what a gateway wrote: whole WebSocket frames. */
void sim_browser_read(sim_browser_t *self, sim_truth_t *truth, fw_bytes_t bytes);
/* Everything has come to rest: it shows what the database has, in all its channels. */
void sim_browser_check_screen(sim_browser_t *self, sim_truth_t *truth);
/* The connection is lost; positions stay. */
void sim_browser_disconnected(sim_browser_t *self);
