/* tail.c - freshwire tail: shows events as the broker releases them.   SPDX-License-Identifier:
 * MPL-2.0 Subscribes as a gateway does: topics, then a fence whose echo proves that the broker
 * knows them all. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/duration.h"
#include "cli/event_line.h"
#include "cli/link_security.h"
#include "cli/options.h"
#include "cli/tail_control.h"
#include "proto/channel.h"
#include "runtime/backoff.h"
#include "runtime/clock.h"
#include "runtime/dial.h"
#include "runtime/random.h"
#include "runtime/socket.h"

enum {
    SILENCE_MS = 3000, /* six beacons missed */
    FIRST_ANSWER_MS = 5000,
    CHANNELS_MAX = 512, /* as in one positions request */
    FENCE_SIZE = 24,
    TURN_MS = 100, /* at most between looks at the links */
    REOPEN_BASE_MS = 100,
    REOPEN_MS_MAX = 2000,
};

/* Where a channel that was asked for stands, to tell of gaps. */
typedef struct {
    fw_text_t channel;
    bool known;
    fw_position_t position;
} place_t;

typedef struct {
    const fw_call_t *call;
    fw_endpoints_t endpoints;
    place_t *places;
    size_t places_count;     /* 0 = every channel */
    fw_security_t *security; /* NULL = links without keys */
    fw_dial_t *dial;
    zsock_t *events; /* NULL between two of them */
    int64_t open_ms; /* when the next one is opened */
    fw_backoff_t backoff;
    fw_tail_control_t *control;
    fw_codec_t *codec;
    char fence[FENCE_SIZE];
    uint64_t fence_number;
    bool fenced; /* the broker has had all subscriptions at least once */
    int64_t heard_ms;
    int64_t left; /* events to show; INT64_MAX = no end */
    fw_event_line_style_t style;
} tail_t;

static void note(const tail_t *self, const char *text, const char *more)
{
    (void)fprintf(stderr, "%s%s%s%s\n", self->style == FW_EVENT_LINE_COLOUR ? "\033[2m" : "", text,
                  more, self->style == FW_EVENT_LINE_COLOUR ? "\033[0m" : "");
}

static void subscribe(const tail_t *self, const void *topic, size_t size)
{
    (void)zmq_setsockopt(zsock_resolve(self->events), ZMQ_SUBSCRIBE, topic, size);
}

/* 0; -EINPROGRESS while the broker's name is looked up; another negative errno. */
static int open_events(tail_t *self, int64_t now_ms)
{
    static const char *const classes[] = {"b", "u", "r"};
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_SUB_CONNECT);
    const char *endpoint = NULL;
    int result = fw_dial_next(self->dial, now_ms, &endpoint);
    settings.security = self->security;
    settings.server_key = fw_dial_server_key(self->dial);
    if (result == 0) {
        result = fw_socket_open(&settings, endpoint, &self->events);
    }
    if (result != 0) {
        self->open_ms = now_ms + (result == -EINPROGRESS ? FW_RESOLVE_POLL_MS
                                                         : fw_backoff_next_ms(&self->backoff));
        return result;
    }
    for (size_t i = 0; i < self->places_count; i++) {
        char topic[FW_TOPIC_SIZE];
        fw_channel_topic(self->places[i].channel, topic);
        subscribe(self, topic, sizeof topic);
    }
    for (size_t i = 0; self->places_count == 0 && i < sizeof classes / sizeof *classes; i++) {
        subscribe(self, classes[i], 1);
    }
    subscribe(self, FW_TOPIC_BEACON, strlen(FW_TOPIC_BEACON));
    uint64_t name;
    fw_random_bytes(&name, sizeof name);
    (void)snprintf(self->fence, sizeof self->fence, FW_TOPIC_FENCE_PREFIX "%016" PRIx64 "-%u", name,
                   (unsigned)(++self->fence_number % 100000));
    subscribe(self, self->fence, strlen(self->fence));
    if (self->fenced) {
        self->heard_ms = now_ms;
    }
    return 0;
}

static place_t *find_place(tail_t *self, fw_text_t channel)
{
    for (size_t i = 0; i < self->places_count; i++) {
        if (fw_text_equal(self->places[i].channel, channel)) {
            return &self->places[i];
        }
    }
    return NULL;
}

/* Moves a channel's place on; false when the event was seen already. */
static bool advance(tail_t *self, place_t *place, fw_position_t position)
{
    char text[128];
    if (place->known && place->position.epoch != position.epoch) {
        note(self, place->channel.text,
             ": the broker restarted; earlier events are lost to subscribers");
    } else if (place->known && position.offset <= place->position.offset) {
        return false;
    } else if (place->known && position.offset > place->position.offset + 1) {
        (void)snprintf(text, sizeof text, ": %" PRIu64 " events were missed here",
                       position.offset - place->position.offset - 1);
        note(self, place->channel.text, text);
    }
    place->known = true;
    place->position = position;
    return true;
}

static void on_delivery(tail_t *self, const fw_delivery_t *delivery)
{
    fw_publication_t publication;
    fw_refusal_t refusal;
    place_t *place = find_place(self, delivery->channel);
    /* A topic is shared by many channels. */
    if (self->places_count > 0 && (!place || !advance(self, place, delivery->position))) {
        return;
    }
    if (fw_codec_decode_publication(self->codec, delivery->publication, &publication, &refusal) !=
        0) {
        note(self, "an event could not be read: ", refusal.reason);
        return;
    }
    fw_event_line_print(stdout, self->style, delivery, &publication);
    self->left--;
}

/* Echoed once per connection: ZeroMQ repeats the subscription to a broker that came back. */
static void on_fence(tail_t *self)
{
    note(self, self->fenced ? "tailing again " : "tailing ", self->endpoints.events);
    self->fenced = true;
    fw_backoff_reset(&self->backoff);
    fw_dial_answered(self->dial);
    if (self->places_count > 0) {
        fw_tail_control_ask(self->control);
    }
}

static bool begins_with(fw_bytes_t frame, const char *text, size_t size)
{
    return frame.size >= size && memcmp(frame.data, text, size) == 0;
}

static bool is_beacon(tail_t *self, fw_bytes_t frame)
{
    size_t topic = strlen(FW_TOPIC_BEACON);
    fw_beacon_t beacon;
    fw_refusal_t refusal;
    fw_bytes_t body = {frame.data + topic, frame.size - topic};
    return fw_codec_decode_beacon(self->codec, body, &beacon, &refusal) == 0;
}

/* Only what a broker says is a sign of life. */
static void on_frame(tail_t *self, fw_bytes_t frame)
{
    fw_delivery_t delivery;
    fw_note_t unkept;
    fw_refusal_t refusal;
    if (begins_with(frame, FW_TOPIC_BEACON, strlen(FW_TOPIC_BEACON))) {
        if (is_beacon(self, frame)) {
            self->heard_ms = fw_clock_ms();
        }
        return;
    }
    if (begins_with(frame, FW_TOPIC_FENCE_PREFIX, 1)) {
        if (begins_with(frame, self->fence, strlen(self->fence))) {
            self->heard_ms = fw_clock_ms();
            on_fence(self);
        }
        return;
    }
    if (frame.size < FW_TOPIC_SIZE) {
        return;
    }
    fw_bytes_t body = {frame.data + FW_TOPIC_SIZE, frame.size - FW_TOPIC_SIZE};
    if (fw_codec_decode_delivery(self->codec, body, &delivery, &refusal) == 0) {
        self->heard_ms = fw_clock_ms();
        on_delivery(self, &delivery);
    } else if (fw_codec_decode_note(self->codec, body, &unkept, &refusal) == 0) {
        self->heard_ms = fw_clock_ms(); /* about a room: nothing that was released */
    } else {
        note(self, "a frame could not be read: ", refusal.reason);
    }
}

static void read_events(tail_t *self)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    int result = 0;
    while (self->events && self->left > 0 &&
           (result = fw_socket_receive(self->events, &frame)) != -EAGAIN) {
        if (result == 0) {
            on_frame(self, fw_socket_bytes(&frame));
        } else if (result != -EBADMSG) {
            break;
        }
    }
    zmq_msg_close(&frame);
    (void)fflush(stdout);
}

static void on_position(void *context, const fw_channel_position_t *at)
{
    tail_t *self = context;
    place_t *place = find_place(self, at->channel);
    char epoch[FW_EPOCH_TEXT_SIZE_MAX + 1];
    char text[96];
    if (!place) {
        return;
    }
    (void)fw_epoch_format(at->position.epoch, epoch);
    (void)snprintf(text, sizeof text, " stands at offset %" PRIu64 ", epoch %s",
                   at->position.offset, epoch);
    note(self, place->channel.text, text);
    /* Within an epoch the events themselves tell of gaps: some may still be on their way. */
    if (!place->known || place->position.epoch != at->position.epoch) {
        place->known = true;
        place->position = at->position;
    }
}

/* True while there is a broker, or hope for one. */
static bool keep_link(tail_t *self)
{
    int64_t now_ms = fw_clock_ms();
    int64_t silent_ms = now_ms - self->heard_ms;
    if (!self->fenced && silent_ms >= FIRST_ANSWER_MS) {
        return false;
    }
    if (!self->events) {
        if (now_ms >= self->open_ms) {
            (void)!open_events(self, now_ms);
        }
    } else if (silent_ms >= SILENCE_MS && self->fenced) {
        note(self, "no beacon for three seconds, connecting again", "");
        zsock_destroy(&self->events);
        self->open_ms = now_ms + fw_backoff_next_ms(&self->backoff);
    }
    return true;
}

static void wait_for_input(const tail_t *self)
{
    zsock_t *const sockets[] = {self->events, fw_tail_control_socket(self->control)};
    zmq_pollitem_t items[2];
    int count = 0;
    for (size_t i = 0; i < 2; i++) {
        if (sockets[i]) {
            items[count++] =
                (zmq_pollitem_t){.socket = zsock_resolve(sockets[i]), .events = ZMQ_POLLIN};
        }
    }
    (void)zmq_poll(items, count, TURN_MS);
}

static fw_exit_t follow(tail_t *self)
{
    while (self->left > 0) {
        wait_for_input(self);
        read_events(self);
        fw_tail_control_service(self->control, fw_clock_ms(), on_position, self);
        if (ferror(stdout)) {
            return FW_EXIT_FAILURE;
        }
        if (!keep_link(self)) {
            fw_complain("is a broker running ('freshwire all' is one)? --events-endpoint, or "
                        "broker.host and "
                        "broker.ports, say where",
                        "no broker answers at %s", self->endpoints.events);
            return FW_EXIT_UNREACHABLE;
        }
    }
    return FW_EXIT_OK;
}

static bool choose_channels(tail_t *self)
{
    const char *const *channels = NULL;
    size_t count = fw_arguments_list(self->call->arguments, "channel", &channels);
    if (count > CHANNELS_MAX) {
        fw_complain("without --channel, every channel is shown", "at most %d channels can be named",
                    CHANNELS_MAX);
        return false;
    }
    self->places = calloc(count + 1, sizeof *self->places);
    for (size_t i = 0; self->places && i < count; i++) {
        fw_text_t channel = fw_text(channels[i]);
        if (fw_channel_kind(channel) == FW_CHANNEL_INVALID) {
            fw_complain("a channel is broadcast, user:<id> or room:<id>",
                        "\"%.100s\" is not a channel", channels[i]);
            return false;
        }
        if (!find_place(self, channel)) {
            self->places[self->places_count++].channel = channel;
        }
    }
    return self->places != NULL;
}

static void choose_endpoints(tail_t *self)
{
    const char *events = fw_arguments_text(self->call->arguments, "events-endpoint");
    const char *control = fw_arguments_text(self->call->arguments, "control-endpoint");
    fw_options_connect_endpoints(self->call->config, FW_ROLE_GATEWAY, &self->endpoints);
    if (events) {
        (void)snprintf(self->endpoints.events, sizeof self->endpoints.events, "%s", events);
    }
    if (control) {
        (void)snprintf(self->endpoints.control, sizeof self->endpoints.control, "%s", control);
    }
}

static void choose_style(tail_t *self)
{
    const char *no_colour = getenv("NO_COLOR");
    self->style = FW_EVENT_LINE_TEXT;
    if (fw_arguments_flag(self->call->arguments, "json")) {
        self->style = FW_EVENT_LINE_JSON;
    } else if (isatty(STDOUT_FILENO) && isatty(STDERR_FILENO) && (!no_colour || !*no_colour)) {
        self->style = FW_EVENT_LINE_COLOUR;
    }
}

static fw_exit_t run(tail_t *self)
{
    fw_config_error_t error;
    const char *count = fw_arguments_text(self->call->arguments, "count");
    self->left = INT64_MAX;
    if (count && fw_number_parse("count", count, 1, INT64_MAX, &self->left, &error) != 0) {
        fw_complain(NULL, "%s", error.text);
        return FW_EXIT_USAGE;
    }
    if (!choose_channels(self)) {
        return FW_EXIT_USAGE;
    }
    if (fw_link_security_make(self->call->config, FW_ROLE_GATEWAY, &self->security, &error) != 0) {
        fw_complain(NULL, "%s", error.text);
        return FW_EXIT_CONFIG;
    }
    choose_endpoints(self);
    choose_style(self);
    self->codec = fw_codec_new();
    uint64_t seed;
    fw_random_bytes(&seed, sizeof seed);
    self->backoff = fw_backoff_make(0, REOPEN_BASE_MS, REOPEN_MS_MAX, seed);
    self->heard_ms = fw_clock_ms();
    int result = fw_dial_new(self->endpoints.events, &self->dial);
    if (result == 0) {
        result = open_events(self, self->heard_ms);
    }
    if (result == -EINVAL) {
        fw_complain("for example --events-endpoint tcp://127.0.0.1:7004", "%s is not an endpoint",
                    self->endpoints.events);
        return FW_EXIT_USAGE;
    }
    fw_text_t *channels = calloc(self->places_count + 1, sizeof *channels);
    for (size_t i = 0; channels && i < self->places_count; i++) {
        channels[i] = self->places[i].channel;
    }
    result = fw_tail_control_new(self->endpoints.control, self->security, channels,
                                 self->places_count, &self->control);
    if (result != 0) {
        fw_complain("for example --control-endpoint tcp://127.0.0.1:7005", "%s is not an endpoint",
                    self->endpoints.control);
        free(channels);
        return FW_EXIT_USAGE;
    }
    fw_exit_t exit = follow(self);
    fw_tail_control_destroy(&self->control);
    free(channels);
    return exit;
}

fw_exit_t fw_tail_command(const fw_call_t *call)
{
    tail_t self = {.call = call};
    /* Ctrl-C ends this command as any other. */
    zsys_handler_set(NULL);
    fw_exit_t result = run(&self);
    zsock_destroy(&self.events);
    fw_dial_destroy(&self.dial);
    fw_security_destroy(&self.security);
    fw_codec_destroy(&self.codec);
    free(self.places);
    zsys_shutdown();
    return result;
}
