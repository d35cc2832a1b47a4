/* broker_fixture.h - a broker on real sockets of free ports, and those who talk to it.
 * SPDX-License-Identifier: MPL-2.0 Every call fails the test when it takes longer than the
 * deadline. */
#pragma once

#include "broker/broker.h"
#include "proto/channel.h"
#include "proto/codec.h"
#include "runtime/socket.h"

enum { BROKER_DEADLINE_MS = 10000 };

typedef struct {
    fw_broker_t *broker;
    fw_broker_endpoints_t at;
    fw_metrics_t *metrics;
    fw_health_t *health;
    fw_codec_t *codec; /* encodes what we send */
    fw_codec_t *reply; /* decodes what we get */
    zmq_msg_t frame;
} broker_fixture_t;

extern const uint8_t broker_incarnation[FW_INCARNATION_SIZE];
extern uint64_t broker_sequence; /* of the next publish, 0 = it does not count */

int broker_set_up(void **state);
int broker_tear_down(void **state);
zsock_t *broker_dial(fw_socket_role_t role, const char *endpoint);
void broker_send_bytes(zsock_t *socket, fw_bytes_t bytes);
void broker_send_text(zsock_t *socket, const char *text);
void broker_send_message(broker_fixture_t *f, zsock_t *socket, fw_link_t link,
                         const fw_message_t *message);
fw_bytes_t broker_receive(broker_fixture_t *f, zsock_t *socket);
fw_message_t broker_receive_message(broker_fixture_t *f, zsock_t *socket, fw_link_t link);
void broker_say_hello(broker_fixture_t *f, zsock_t *socket, fw_link_t up, fw_link_t down);
void broker_do_cache_action(broker_fixture_t *f, zsock_t *worker, fw_cache_action_t action);
void broker_publish(broker_fixture_t *f, zsock_t *socket, uint64_t request_id, const char *channel,
                    const char *tag);
zsock_t *broker_subscribe(broker_fixture_t *f, const char *channel);
fw_delivery_t broker_receive_delivery(broker_fixture_t *f, zsock_t *sub);
double broker_metric(broker_fixture_t *f, const char *line);
void broker_wait_for_metric(broker_fixture_t *f, const char *line, double at_least);
void *broker_stop_thread(void *args);
