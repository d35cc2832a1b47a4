/* rooms.h - presence and notes inside the broker's actor, and what it knows of a gateway.
 * SPDX-License-Identifier: MPL-2.0 Internal to broker/. Everything here belongs to the one broker
 * thread. */
#pragma once

#include "broker/broker_loop.h"
#include "runtime/hash.h"

struct fw_broker_gateway {
    UT_hash_handle hh;
    fw_peer_t peer;
    uint8_t incarnation[FW_INCARNATION_SIZE];
    int64_t seen_us;
    int64_t notes_filled_us;
    int64_t notes_left; /* that it may send now */
    bool takes_commands;
};

void fw_broker_rooms_begin(fw_broker_loop_t *self);
void fw_broker_rooms_end(fw_broker_loop_t *self);
/* A gateway said something; ping: it was one. */
void fw_broker_rooms_heard(fw_broker_loop_t *self, const fw_broker_gateway_t *gateway, bool ping);
/* It said goodbye. */
void fw_broker_rooms_left(fw_broker_loop_t *self, const fw_broker_gateway_t *gateway);
/* False when the message is none about rooms. gateway: NULL when it has not said hello. */
bool fw_broker_rooms_take(fw_broker_loop_t *self, const fw_peer_t *peer,
                          fw_broker_gateway_t *gateway, const fw_message_t *message);
void fw_broker_rooms_tick(fw_broker_loop_t *self);
int64_t fw_broker_rooms_next_us(const fw_broker_loop_t *self);
/* Brings the metrics up to date. */
void fw_broker_rooms_show(fw_broker_loop_t *self);
