/* sessions.h - commands about sessions: from the gateway that was asked to all of them.
 * SPDX-License-Identifier: MPL-2.0 Internal to broker/. */
#pragma once

#include "broker/broker_loop.h"

void fw_broker_sessions_begin(fw_broker_loop_t *self);
void fw_broker_sessions_end(fw_broker_loop_t *self);
/* False when the message is none about sessions. gateway: NULL when it has not said hello. */
bool fw_broker_sessions_take(fw_broker_loop_t *self, const fw_peer_t *peer,
                             fw_broker_gateway_t *gateway, const fw_message_t *message);
/* It said goodbye. */
void fw_broker_sessions_left(fw_broker_loop_t *self, const fw_broker_gateway_t *gateway);
void fw_broker_sessions_tick(fw_broker_loop_t *self);
int64_t fw_broker_sessions_next_us(const fw_broker_loop_t *self);
