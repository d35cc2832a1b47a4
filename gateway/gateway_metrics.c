/* gateway_metrics.c - see gateway_metrics.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/gateway_metrics.h"

#include <assert.h>
#include <stdio.h>

static const struct {
    int code;
    const char *label;
} disconnects[FW_DISCONNECTS] = {
    {FW_DISCONNECT_BY_PEER, "code=\"peer\""},  {FW_DISCONNECT_LOST, "code=\"lost\""},
    {FW_CLOSE_PROTOCOL, "code=\"1002\""},      {FW_CLOSE_BINARY, "code=\"1003\""},
    {FW_CLOSE_BAD_TEXT, "code=\"1007\""},      {FW_CLOSE_TOO_BIG, "code=\"1009\""},
    {FW_CLOSE_DRAINING, "code=\"4000\""},      {FW_CLOSE_SLOW, "code=\"4001\""},
    {FW_CLOSE_NO_PONG, "code=\"4003\""},       {FW_CLOSE_TOKEN_EXPIRED, "code=\"4100\""},
    {FW_CLOSE_TOKEN_REFUSED, "code=\"4101\""}, {FW_CLOSE_KEY_UNKNOWN, "code=\"4201\""},
    {FW_CLOSE_TOO_MANY, "code=\"4290\""},      {FW_CLOSE_BAD_REQUEST, "code=\"4400\""},
    {FW_CLOSE_FORBIDDEN, "code=\"4403\""},     {FW_CLOSE_NO_PROTOCOL, "code=\"4406\""},
};

static const char *const refusals[FW_REFUSED_COUNT] = {
    [FW_REFUSED_CONNECTIONS] = "door=\"accept\",reason=\"connections\"",
    [FW_REFUSED_HALF_OPEN] = "door=\"accept\",reason=\"half_open\"",
    [FW_REFUSED_LATE] = "door=\"http\",reason=\"late\"",
    [FW_REFUSED_PROXY_HEADER] = "door=\"accept\",reason=\"proxy_header\"",
    [FW_REFUSED_ADDRESS] = "door=\"websocket\",reason=\"address\"",
    [FW_REFUSED_USER] = "door=\"websocket\",reason=\"user\"",
    [FW_REFUSED_FRAME] = "door=\"websocket\",reason=\"frame\"",
    [FW_REFUSED_SESSIONS] = "door=\"upgrade\",reason=\"sessions\"",
    [FW_REFUSED_MEMORY] = "door=\"upgrade\",reason=\"memory\"",
    [FW_REFUSED_DRAINING] = "door=\"upgrade\",reason=\"draining\"",
    [FW_REFUSED_PATH] = "door=\"upgrade\",reason=\"path\"",
    [FW_REFUSED_ORIGIN] = "door=\"upgrade\",reason=\"origin\"",
    [FW_REFUSED_HANDSHAKE] = "door=\"upgrade\",reason=\"handshake\"",
    [FW_REFUSED_NO_REQUEST] = "door=\"http\",reason=\"no_request\"",
    [FW_REFUSED_STREAM] = "door=\"sse\",reason=\"request\"",
    [FW_REFUSED_HTTP_PATH] = "door=\"http\",reason=\"path\"",
    [FW_REFUSED_MESSAGE] = "door=\"websocket\",reason=\"message\"",
    [FW_REFUSED_EVENTS] = "door=\"uplink_events\",reason=\"malformed\"",
    [FW_REFUSED_CONTROL] = "door=\"uplink_control\",reason=\"malformed\"",
};

static const unsigned statuses[FW_PUBLISH_STATUSES] = {200, 400, 401, 404, 405, 411,
                                                       413, 415, 422, 429, 503, 504};

static void init_sessions(fw_gateway_metrics_t *self, fw_metrics_t *registry)
{
    self->sessions = fw_metrics_gauge(registry, "freshwire_sessions", "Open browser sessions.", "");
    self->connections = fw_metrics_gauge(registry, "freshwire_gateway_connections",
                                         "Open connections, sessions included.", "");
    self->subscriptions =
        fw_metrics_gauge(registry, "freshwire_subscriptions", "Subscriptions of all sessions.", "");
    const char *opened = "freshwire_sessions_opened_total";
    const char *help = "Upgrades that were accepted; refused: closed at once with a code.";
    self->opened_open = fw_metrics_counter(registry, opened, help, "result=\"open\"");
    self->opened_refused = fw_metrics_counter(registry, opened, help, "result=\"refused\"");
    for (size_t i = 0; i < FW_DISCONNECTS; i++) {
        self->disconnects[i] =
            fw_metrics_counter(registry, "freshwire_disconnects_total",
                               "Sessions that ended, by close code.", disconnects[i].label);
    }
    self->messages = fw_metrics_counter(registry, "freshwire_client_messages_total",
                                        "Messages that clients sent.", "");
    self->accepts_paced =
        fw_metrics_counter(registry, "freshwire_accepts_paced_total",
                           "Times that connections had to wait to be accepted.", "");
    const char *loads = "freshwire_gateway_certificate_loads_total";
    const char *loads_help = "Times that the files of the listener's certificate were read.";
    self->certificates_loaded =
        fw_metrics_counter(registry, loads, loads_help, "result=\"loaded\"");
    self->certificates_refused =
        fw_metrics_counter(registry, loads, loads_help, "result=\"refused\"");
    self->certificate_expires =
        fw_metrics_gauge(registry, "freshwire_gateway_certificate_expires_timestamp_seconds",
                         "When the listener's certificate ends; 0 without TLS.", "");
    for (size_t i = 0; i < FW_REFUSED_COUNT; i++) {
        self->refused[i] =
            fw_metrics_counter(registry, "freshwire_refused_total",
                               "Messages from outside that were refused.", refusals[i]);
    }
    for (size_t i = 0; i < FW_PUBLISH_STATUSES; i++) {
        char label[32];
        (void)snprintf(label, sizeof label, "status=\"%u\"", statuses[i]);
        self->publishes[i] = fw_metrics_counter(registry, "freshwire_publish_requests_total",
                                                "HTTP publish requests, by status.", label);
    }
}

static void init_tokens(fw_gateway_metrics_t *self, fw_metrics_t *registry)
{
    static const char *const doors[FW_DOORS] = {
        [FW_DOOR_HELLO] = "hello",   [FW_DOOR_HEADER] = "header",   [FW_DOOR_QUERY] = "query",
        [FW_DOOR_COOKIE] = "cookie", [FW_DOOR_REFRESH] = "refresh",
    };
    static const char *const results[FW_TOKEN_RESULTS] = {
        [FW_TOKEN_ACCEPTED] = "accepted",
        [FW_TOKEN_EXPIRED] = "expired",
        [FW_TOKEN_UNKNOWN_KEY] = "unknown_key",
        [FW_TOKEN_REFUSED] = "refused",
    };
    for (int door = 0; door < FW_DOORS; door++) {
        for (int result = 0; result < FW_TOKEN_RESULTS; result++) {
            char label[64];
            (void)snprintf(label, sizeof label, "door=\"%s\",result=\"%s\"", doors[door],
                           results[result]);
            self->tokens[door][result] =
                fw_metrics_counter(registry, "freshwire_tokens_total",
                                   "Tokens of browsers that were looked at.", label);
        }
    }
}

static void init_events(fw_gateway_metrics_t *self, fw_metrics_t *registry)
{
    self->delivery = fw_metrics_histogram(
        registry, "freshwire_event_delivery_seconds",
        "From the uplink to the socket of a session; the oldest event of each write.", "");
    self->age = fw_metrics_histogram(registry, "freshwire_event_age_seconds",
                                     "From the publisher's clock to the uplink.", "");
    self->received = fw_metrics_counter(registry, "freshwire_events_received_total",
                                        "Events that came over the uplink.", "");
    self->irrelevant =
        fw_metrics_counter(registry, "freshwire_events_irrelevant_total",
                           "Events of channels that share a topic with a wanted one.", "");
    self->duplicates = fw_metrics_counter(registry, "freshwire_events_duplicate_total",
                                          "Events that were known already.", "");
    self->delivered = fw_metrics_counter(registry, "freshwire_events_delivered_total",
                                         "Events written to sessions.", "");
    self->writes = fw_metrics_counter(registry, "freshwire_gateway_writes_total",
                                      "Writes to sockets of sessions.", "");
    self->written_bytes = fw_metrics_counter(registry, "freshwire_gateway_written_bytes_total",
                                             "Bytes written to sockets of sessions.", "");
    const char *resets = "freshwire_resets_total";
    const char *help = "Places in channels that sessions were told to be lost.";
    self->resets[FW_RESET_NONE] = NULL;
    self->resets[FW_RESET_HISTORY] =
        fw_metrics_counter(registry, resets, help, "reason=\"history\"");
    self->resets[FW_RESET_LAPPED] = fw_metrics_counter(registry, resets, help, "reason=\"lapped\"");
    self->resets[FW_RESET_EPOCH] = fw_metrics_counter(registry, resets, help, "reason=\"epoch\"");
    self->resets[FW_RESET_UNCONFIRMED] =
        fw_metrics_counter(registry, resets, help, "reason=\"unconfirmed\"");
}

static void init_links(fw_gateway_metrics_t *self, fw_metrics_t *registry)
{
    self->channels = fw_metrics_gauge(registry, "freshwire_gateway_channels",
                                      "Channels with a ring in some shard.", "");
    self->ring_bytes = fw_metrics_gauge(registry, "freshwire_ring_bytes",
                                        "Memory of the rings of all shards.", "");
    self->control_bytes =
        fw_metrics_gauge(registry, "freshwire_control_bytes",
                         "Memory of the gateway's own messages that wait for slow sessions.", "");
    self->degraded = fw_metrics_gauge(registry, "freshwire_gateway_degraded",
                                      "Shards without a broker for more than three seconds.", "");
    self->uplink_connected = fw_metrics_gauge(registry, "freshwire_uplink_connected",
                                              "Shards whose links to the broker are up.", "");
    const char *replays = "freshwire_replays_total";
    const char *help = "Replays that were asked of the broker.";
    self->replays_complete = fw_metrics_counter(registry, replays, help, "outcome=\"complete\"");
    self->replays_reset = fw_metrics_counter(registry, replays, help, "outcome=\"reset\"");
    self->replays_paced = fw_metrics_counter(
        registry, "freshwire_replays_paced_total",
        "Times that channels had to wait for their turn to ask for a replay.", "");
    self->reopened = fw_metrics_counter(registry, "freshwire_uplink_reopened_total",
                                        "Times the links to the broker were opened anew.", "");
    self->beacons_missed = fw_metrics_counter(registry, "freshwire_uplink_beacons_missed_total",
                                              "Beacons of the broker that did not arrive.", "");
}

void fw_gateway_metrics_init(fw_gateway_metrics_t *self, fw_metrics_t *registry)
{
    init_sessions(self, registry);
    init_tokens(self, registry);
    init_events(self, registry);
    init_links(self, registry);
}

fw_counter_t *fw_gateway_metrics_disconnect(const fw_gateway_metrics_t *self, int code)
{
    size_t i = 0;
    while (i < FW_DISCONNECTS && disconnects[i].code != code)
        i++;
    assert(i < FW_DISCONNECTS);
    return self->disconnects[i];
}

fw_counter_t *fw_gateway_metrics_publish(const fw_gateway_metrics_t *self, unsigned status)
{
    size_t i = 0;
    while (i < FW_PUBLISH_STATUSES && statuses[i] != status)
        i++;
    assert(i < FW_PUBLISH_STATUSES);
    return self->publishes[i];
}
