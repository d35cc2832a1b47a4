/* broker_fixture.c - see broker_fixture.h.   SPDX-License-Identifier: MPL-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/clock.h"
#include "runtime/signals.h"
#include "tests/support/broker_fixture.h"

int broker_set_up(void **state)
{
    broker_fixture_t *f = calloc(1, sizeof *f);
    fw_broker_config_t config = fw_broker_defaults();
    config.fire_endpoints = config.publish_endpoints = config.jobs_endpoints =
        config.events_endpoints = config.control_endpoints = "tcp://127.0.0.1:*";
    config.beacon_interval_ms = 50;
    config.barrier_first_ms = 50;
    config.barrier_timeout_ms = 150;
    config.open_timeout_ms = 300;
    config.fire_repair_ms = 800;
    f->metrics = fw_metrics_new();
    f->health = fw_health_new();
    f->codec = fw_codec_new();
    f->reply = fw_codec_new();
    zmq_msg_init(&f->frame);
    assert_int_equal(fw_broker_start(&config, f->metrics, f->health, &f->broker), 0);
    fw_broker_endpoints(f->broker, &f->at);
    *state = f;
    return 0;
}

int broker_tear_down(void **state)
{
    broker_fixture_t *f = *state;
    fw_broker_stop(&f->broker);
    fw_metrics_destroy(&f->metrics);
    fw_health_destroy(&f->health);
    fw_codec_destroy(&f->codec);
    fw_codec_destroy(&f->reply);
    zmq_msg_close(&f->frame);
    free(f);
    return 0;
}

zsock_t *broker_dial(fw_socket_role_t role, const char *endpoint)
{
    fw_socket_settings_t settings = fw_socket_settings(role);
    zsock_t *socket = NULL;
    assert_int_equal(fw_socket_open(&settings, endpoint, &socket), 0);
    return socket;
}

void broker_send_bytes(zsock_t *socket, fw_bytes_t bytes)
{
    zmq_pollitem_t item = {zsock_resolve(socket), 0, ZMQ_POLLOUT, 0};
    assert_int_equal(zmq_poll(&item, 1, BROKER_DEADLINE_MS), 1);
    assert_int_equal(fw_socket_send(socket, bytes), 0);
}

void broker_send_text(zsock_t *socket, const char *text)
{
    broker_send_bytes(socket, (fw_bytes_t){(const uint8_t *)text, strlen(text)});
}

void broker_send_message(broker_fixture_t *f, zsock_t *socket, fw_link_t link,
                         const fw_message_t *message)
{
    broker_send_bytes(socket, fw_codec_encode(f->codec, link, message));
}

/* The next frame; fails the test when none comes. */
fw_bytes_t broker_receive(broker_fixture_t *f, zsock_t *socket)
{
    zmq_pollitem_t item = {zsock_resolve(socket), 0, ZMQ_POLLIN, 0};
    assert_int_equal(zmq_poll(&item, 1, BROKER_DEADLINE_MS), 1);
    assert_int_equal(fw_socket_receive(socket, &f->frame), 0);
    return fw_socket_bytes(&f->frame);
}

fw_message_t broker_receive_message(broker_fixture_t *f, zsock_t *socket, fw_link_t link)
{
    fw_message_t message;
    fw_refusal_t refusal;
    fw_bytes_t frame = broker_receive(f, socket);
    assert_int_equal(fw_codec_decode(f->reply, link, frame, &message, &refusal), 0);
    return message;
}

const uint8_t broker_incarnation[FW_INCARNATION_SIZE] = {1};

void broker_say_hello(broker_fixture_t *f, zsock_t *socket, fw_link_t up, fw_link_t down)
{
    fw_message_t hello = {.kind = FW_MESSAGE_HELLO,
                          .hello = {FW_PROTOCOL_VERSION,
                                    FW_TEXT("test"),
                                    {broker_incarnation, sizeof broker_incarnation},
                                    4}};
    broker_send_message(f, socket, up, &hello);
    assert_int_equal(broker_receive_message(f, socket, down).kind, FW_MESSAGE_WELCOME);
}

/* The next message to a worker is the job that opens the cache, or that does another thing to it.
 */
void broker_do_cache_action(broker_fixture_t *f, zsock_t *worker, fw_cache_action_t action)
{
    fw_message_t job = broker_receive_message(f, worker, FW_LINK_WORKER_DOWN);
    assert_int_equal(job.kind, FW_MESSAGE_JOB);
    assert_int_equal(job.job.cache_action, action);
    fw_message_t done = {.kind = FW_MESSAGE_JOB_DONE,
                         .done = {.job_id = job.job.job_id, .redis_time = 1}};
    broker_send_message(f, worker, FW_LINK_WORKER_UP, &done);
}

uint64_t broker_sequence; /* of the next publish, 0 = it does not count */

void broker_publish(broker_fixture_t *f, zsock_t *socket, uint64_t request_id, const char *channel,
                    const char *tag)
{
    fw_text_t audience[] = {fw_text(channel)};
    fw_text_t tags[] = {fw_text(tag)};
    char id[32];
    (void)snprintf(id, sizeof id, "event-%d", (int)request_id);
    fw_message_t message = {.kind = FW_MESSAGE_PUBLISH};
    message.publish.request_id = request_id;
    if (broker_sequence) {
        message.publish.sequence = broker_sequence;
        message.publish.incarnation = (fw_bytes_t){broker_incarnation, sizeof broker_incarnation};
    }
    message.publish.event = (fw_event_t){.id = fw_text(id),
                                         .type = FW_TEXT("project_updated"),
                                         .data = {.kind = FW_PAYLOAD_JSON,
                                                  .bytes = {(const uint8_t *)"{\"id\":1}", 8},
                                                  .type = FW_TEXT_NONE},
                                         .audience = audience,
                                         .audience_count = 1,
                                         .exclude = {FW_TEXT_NONE, FW_TEXT_NONE},
                                         .origin = FW_TEXT_NONE,
                                         .user_id = FW_TEXT_NONE,
                                         .traceparent = FW_TEXT_NONE};
    if (tag)
        message.publish.event.invalidate = (fw_invalidate_t){.tags = tags, .tags_count = 1};
    broker_send_message(f, socket, FW_LINK_PUBLISHER_UP, &message);
}

/* A SUB whose subscriptions are in force: proved by a fence. */
zsock_t *broker_subscribe(broker_fixture_t *f, const char *channel)
{
    char topic[FW_TOPIC_SIZE + 1] = {0};
    zsock_t *sub = broker_dial(FW_SOCKET_SUB_CONNECT, f->at.events);
    fw_channel_topic(fw_text(channel), topic);
    zsock_set_subscribe(sub, topic);
    zsock_set_subscribe(sub, "~f-1");
    fw_bytes_t echo = broker_receive(f, sub);
    assert_int_equal(echo.size, 4);
    assert_memory_equal(echo.data, "~f-1", 4);
    return sub;
}

fw_delivery_t broker_receive_delivery(broker_fixture_t *f, zsock_t *sub)
{
    fw_delivery_t delivery;
    fw_refusal_t refusal;
    fw_bytes_t frame = broker_receive(f, sub);
    assert_true(frame.size > FW_TOPIC_SIZE);
    frame.data += FW_TOPIC_SIZE;
    frame.size -= FW_TOPIC_SIZE;
    assert_int_equal(fw_codec_decode_delivery(f->reply, frame, &delivery, &refusal), 0);
    return delivery;
}

double broker_metric(broker_fixture_t *f, const char *line)
{
    size_t size;
    char *text = fw_metrics_render(f->metrics, &size);
    const char *at = strstr(text, line);
    double value = at ? strtod(at + strlen(line), NULL) : 0;
    free(text);
    return value;
}

void broker_wait_for_metric(broker_fixture_t *f, const char *line, double at_least)
{
    int64_t deadline = fw_clock_ms() + BROKER_DEADLINE_MS;
    while (broker_metric(f, line) < at_least) {
        assert_true(fw_clock_ms() < deadline);
        (void)zmq_poll(NULL, 0, 5);
    }
}

void *broker_stop_thread(void *args)
{
    broker_fixture_t *f = args;
    fw_broker_stop(&f->broker);
    return NULL;
}
