/* broker.c - the broker's actor: five sockets, one loop.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/broker.h"

#include <errno.h>
#include <malloc.h>

#include "broker/rooms.h"
#include "broker/sessions.h"
#include "broker/store_memory.h"
#include "runtime/actor.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/random.h"

enum {
    MESSAGES_A_TURN_MAX = 256, /* of one socket, before the others get their turn */
    DRAIN_MS_MAX = 2000,
    POLL_MS_MAX = 250,       /* the pulse must beat */
    GOODBYE_LINGER_MS = 500, /* for the last words to leave */
    SECOND_US = 1000000,
    LAST_FIRE_TURNS_MAX = 400, /* of the fire-and-forget link, when the broker stops */
    /* ZeroMQ takes subscriptions as long as there are some, before it gives us the first: with few
     * in the queue it runs dry in between, however fast they come. */
    AHEAD_SUBSCRIPTIONS_MAX = 16,
    AHEAD_MESSAGES_MAX = 1000,       /* read from one connection and not looked at */
    SUBSCRIPTIONS_A_TURN_MAX = 8192, /* cheap; ZeroMQ has taken them already */
};

struct fw_broker {
    fw_actor_t *actor;
    fw_broker_config_t config;
    fw_metrics_t *metrics;
    fw_health_t *health;
    fw_broker_endpoints_t endpoints;
};

fw_broker_config_t fw_broker_defaults(void)
{
    return (fw_broker_config_t){
        .fire_endpoints = "tcp://127.0.0.1:7001",
        .publish_endpoints = "tcp://127.0.0.1:7002",
        .jobs_endpoints = "tcp://127.0.0.1:7003",
        .events_endpoints = "tcp://127.0.0.1:7004",
        .control_endpoints = "tcp://127.0.0.1:7005",
        .credit = 1024,
        .barrier_first_ms = 200,
        .barrier_timeout_ms = 500,
        .hold_timeout_ms = 10000,
        .cache = true,
        .open_timeout_ms = 5000,
        .held_max = 100000,
        .jobs_max = 100000,
        .held_bytes_max = (size_t)256 * 1024 * 1024,
        .jobs_bytes_max = (size_t)256 * 1024 * 1024,
        .dedupe_bytes_max = (size_t)256 * 1024 * 1024,
        .beacon_interval_ms = 500,
        .subscriptions_max = 250000,
        .queue_bytes_max = (size_t)64 * 1024 * 1024,
        .dedupe_ms = INT64_C(5) * 60 * 1000,
        .dedupe_max = 500000,
        .history_events_max = 1024,
        .history_channel_bytes_max = (size_t)4 * 1024 * 1024,
        .history_ms = INT64_C(10) * 60 * 1000,
        .channels_max = 1000000,
        .history_bytes_max = (size_t)512 * 1024 * 1024,
        .replay_bytes_per_second = (size_t)64 * 1024 * 1024,
        .presence_grace_ms = 15000,
        .presence_members_max = 5000,
        .presence_bytes_max = (size_t)64 * 1024 * 1024,
        .fire_repair_ms = 5000,
        .fire_reset = true,
    };
}

static const char *door_name(fw_door_t door)
{
    return fw_domain_name((fw_domain_t)door);
}

static void count_refused(fw_broker_loop_t *self, fw_door_t door, const char *reason,
                          const fw_refusal_t *refusal, uint64_t times)
{
    char labels[64];
    uint64_t suppressed = 0;
    if (times == 0)
        return;
    (void)snprintf(labels, sizeof labels, "door=\"%s\",reason=\"%s\"", door_name(door), reason);
    fw_counter_add(fw_metrics_counter(self->registry, "freshwire_refused_total",
                                      "Messages from outside that were refused.", labels),
                   times);
    if (fw_log_limited(&self->refusals_logged, self->now_us / 1000, &suppressed)) {
        fw_log(FW_LOG_WARN, "message refused, ignoring it", FW_KV_TEXT("door", door_name(door)),
               FW_KV_TEXT("reason", reason), FW_KV_TEXT("field", refusal->field),
               FW_KV_TEXT("detail", refusal->reason), FW_KV_UINT("limit", refusal->limit),
               FW_KV_UINT("value", refusal->value), FW_KV_UINT("suppressed", suppressed));
    }
}

void fw_broker_refused(fw_broker_loop_t *self, fw_door_t door, const char *reason,
                       const fw_refusal_t *refusal)
{
    count_refused(self, door, reason, refusal, 1);
}

void fw_broker_reply(fw_broker_loop_t *self, zsock_t *router, fw_link_t link, const fw_peer_t *peer,
                     const fw_message_t *message)
{
    fw_bytes_t frame = fw_codec_encode(self->encoder, link, message);
    if (fw_socket_send_to(router, peer, frame) < 0)
        fw_counter_add(self->metrics.send_dropped, 1);
}

void fw_broker_welcome(fw_broker_loop_t *self, zsock_t *router, fw_link_t link,
                       const fw_peer_t *peer)
{
    fw_message_t message = {.kind = FW_MESSAGE_WELCOME,
                            .welcome = {FW_PROTOCOL_VERSION,
                                        {self->incarnation, sizeof self->incarnation},
                                        self->config.credit,
                                        FW_PAYLOAD_SIZE_MAX,
                                        self->config.beacon_interval_ms}};
    fw_broker_reply(self, router, link, peer, &message);
}

bool fw_broker_understands(fw_broker_loop_t *self, fw_door_t door, const fw_hello_t *hello,
                           const fw_peer_t *peer)
{
    static const fw_link_t links[FW_DOORS] = {[FW_DOOR_PUBLISH] = FW_LINK_PUBLISHER_DOWN,
                                              [FW_DOOR_JOBS] = FW_LINK_WORKER_DOWN,
                                              [FW_DOOR_CONTROL] = FW_LINK_GATEWAY_DOWN};
    zsock_t *routers[FW_DOORS] = {[FW_DOOR_PUBLISH] = self->publish,
                                  [FW_DOOR_JOBS] = self->jobs,
                                  [FW_DOOR_CONTROL] = self->control};
    fw_message_t message = {.kind = FW_MESSAGE_REFUSAL,
                            .refusal = {.field = "hello.version",
                                        .reason = "is not spoken here",
                                        .limit = FW_PROTOCOL_VERSION,
                                        .value = hello->version}};
    if (hello->version == FW_PROTOCOL_VERSION)
        return true;
    fw_broker_refused(self, door, "version", &message.refusal);
    fw_broker_reply(self, routers[door], links[door], peer, &message);
    return false;
}

static void make_metrics(fw_broker_loop_t *self)
{
    fw_metrics_t *m = self->registry;
    const char *replays = "Replays that gateways asked for, by outcome.";
    const char *gaps = "Fire-and-forget events that did not come at their turn, by outcome.";
    self->metrics.sent_frames = fw_metrics_counter(m, "freshwire_broker_frames_sent_total",
                                                   "Frames sent on the event link.", "");
    self->metrics.sent_bytes = fw_metrics_counter(m, "freshwire_broker_sent_bytes_total",
                                                  "Bytes sent on the event link.", "");
    self->metrics.send_dropped = fw_metrics_counter(m, "freshwire_broker_sends_dropped_total",
                                                    "Replies that a peer could not take.", "");
    self->metrics.replays[FW_REPLAY_COMPLETE] =
        fw_metrics_counter(m, "freshwire_broker_replays_total", replays, "outcome=\"complete\"");
    self->metrics.replays[FW_REPLAY_MORE] =
        fw_metrics_counter(m, "freshwire_broker_replays_total", replays, "outcome=\"more\"");
    self->metrics.replays[FW_REPLAY_RESET] =
        fw_metrics_counter(m, "freshwire_broker_replays_total", replays, "outcome=\"reset\"");
    self->metrics.positions = fw_metrics_counter(m, "freshwire_broker_positions_total",
                                                 "Channels whose position was asked for.", "");
    self->metrics.fences =
        fw_metrics_counter(m, "freshwire_broker_fences_total", "Fences echoed.", "");
    self->metrics.questions_dropped = fw_metrics_counter(
        m, "freshwire_broker_questions_dropped_total",
        "Questions of gateways that found the queue full; they are repeated.", "");
    self->metrics.questions_waiting =
        fw_metrics_gauge(m, "freshwire_broker_questions_waiting",
                         "Questions of gateways that wait for the cache or for their turn.", "");
    self->metrics.fire_repaired =
        fw_metrics_counter(m, "freshwire_broker_fire_gaps_total", gaps, "outcome=\"repaired\"");
    self->metrics.fire_lost =
        fw_metrics_counter(m, "freshwire_broker_fire_gaps_total", gaps, "outcome=\"lost\"");
    self->metrics.fire_repeated =
        fw_metrics_counter(m, "freshwire_broker_fire_gaps_total", gaps, "outcome=\"repeated\"");
    self->metrics.fire_missing = fw_metrics_gauge(
        m, "freshwire_broker_fire_missing", "Fire-and-forget events that are asked for again.", "");
    self->metrics.doors_closed =
        fw_metrics_counter(m, "freshwire_broker_doors_closed_total",
                           "Times that the ports were closed for want of file descriptors.", "");
    self->metrics.subscriptions_cut =
        fw_metrics_counter(m, "freshwire_broker_subscribers_cut_total",
                           "Connections of the event link ended for asking for too much.", "");
    self->metrics.gateways =
        fw_metrics_gauge(m, "freshwire_broker_gateways", "Gateway shards that are connected.", "");
}

static fw_store_t *make_store(const void *options, const fw_store_answers_t *answers)
{
    return fw_store_memory_new(options, answers);
}

static fw_core_t *make_core(fw_broker_loop_t *self)
{
    const fw_broker_config_t *config = &self->config;
    uint64_t seeds[2];
    fw_random_bytes(seeds, sizeof seeds);
    fw_core_options_t options = {
        .credit = config->credit,
        .barrier_first_us = config->barrier_first_ms * 1000,
        .barrier_timeout_us = config->barrier_timeout_ms * 1000,
        .hold_timeout_us = config->hold_timeout_ms * 1000,
        .open_timeout_us = config->open_timeout_ms * 1000,
        .held_max = config->held_max,
        .jobs_max = config->jobs_max,
        .held_bytes_max = config->held_bytes_max,
        .jobs_bytes_max = config->jobs_bytes_max,
        .dedupe_bytes_max = config->dedupe_bytes_max,
        .dedupe_us = config->dedupe_ms * 1000,
        .dedupe_max = config->dedupe_max,
        .lease_us = 2000000,
        .retry_base_us = 50000,
        .retry_us_max = 5000000,
        .silence_us_max = 3000000,
        .seed = seeds[0],
        .policies = self->policies,
        .no_cache = !config->cache,
    };
    memcpy(options.incarnation, self->incarnation, sizeof options.incarnation);
    fw_store_memory_options_t store = {
        .policies = self->policies,
        .bytes_max = config->history_bytes_max,
        .idle_us_max = INT64_C(24) * 60 * 60 * SECOND_US,
        .channels_max = config->channels_max,
        .seed = seeds[1],
    };
    fw_core_output_t output = {
        self, fw_broker_acknowledge, fw_broker_send_job, fw_broker_deliver, NULL, NULL};
    output.alarm = fw_broker_alarm;
    output.purged = fw_broker_purged;
    return fw_core_new(&options, &output, make_store, &store, self->registry, self->now_us);
}

static int make_policies(fw_broker_loop_t *self)
{
    const fw_broker_config_t *config = &self->config;
    fw_policy_t fallback = {.events_max = config->history_events_max,
                            .bytes_max = config->history_channel_bytes_max,
                            .age_us_max = config->history_ms * 1000};
    fw_config_error_t error;
    int result = fw_policies_new(config->channel_rules, config->channel_rules_count, &fallback,
                                 &self->policies, &error);
    if (result != 0)
        fw_log(FW_LOG_ERROR, "bad channel rule", FW_KV_TEXT("detail", error.text));
    return result;
}

static int open_socket(const fw_broker_loop_t *self, fw_socket_role_t role, fw_door_t door,
                       const char *endpoints, zsock_t **ret_socket, char *ret_endpoint, size_t size)
{
    fw_socket_settings_t settings = fw_socket_settings(role);
    if (door == FW_DOOR_FIRE || door == FW_DOOR_PUBLISH || door == FW_DOOR_EVENTS) {
        /* Who sends faster than we read waits in his own process, not in our memory. A heartbeat
         * would take him for dead meanwhile; publishers ping by themselves, and what waits for a
         * gateway is bounded until TCP gives it up. */
        settings.heartbeat_interval_ms = settings.heartbeat_timeout_ms = 0;
        settings.receive_hwm =
            door == FW_DOOR_EVENTS ? AHEAD_SUBSCRIPTIONS_MAX : AHEAD_MESSAGES_MAX;
        /* Inside of this process the subscriber's own limit counts, until the other side's is
         * changed while it runs (see fw_broker_fit_queue): then ZeroMQ forgets that it has none,
         * and drops what subscriptions pass this one. */
        if (door == FW_DOOR_EVENTS && strstr(endpoints, "inproc://"))
            settings.receive_hwm = 0;
    }
    settings.security = self->config.security;
    settings.domain = (fw_domain_t)door;
    int result = fw_socket_open(&settings, endpoints, ret_socket);
    if (result < 0) {
        fw_log(FW_LOG_ERROR, "cannot bind", FW_KV_TEXT("endpoint", endpoints), FW_KV_ERROR(result));
        return result;
    }
    char *endpoint = fw_socket_endpoint(*ret_socket);
    (void)snprintf(ret_endpoint, size, "%s", endpoint ? endpoint : "");
    free(endpoint);
    return 0;
}

static int open_sockets(fw_broker_loop_t *self, fw_broker_endpoints_t *endpoints)
{
    const fw_broker_config_t *config = &self->config;
    int result = open_socket(self, FW_SOCKET_XSUB_BIND, FW_DOOR_FIRE, config->fire_endpoints,
                             &self->fire, endpoints->fire, sizeof endpoints->fire);
    if (result == 0) {
        result =
            open_socket(self, FW_SOCKET_ROUTER_BIND, FW_DOOR_PUBLISH, config->publish_endpoints,
                        &self->publish, endpoints->publish, sizeof endpoints->publish);
    }
    if (result == 0)
        result = open_socket(self, FW_SOCKET_ROUTER_BIND, FW_DOOR_JOBS, config->jobs_endpoints,
                             &self->jobs, endpoints->jobs, sizeof endpoints->jobs);
    if (result == 0)
        result = open_socket(self, FW_SOCKET_XPUB_BIND, FW_DOOR_EVENTS, config->events_endpoints,
                             &self->events, endpoints->events, sizeof endpoints->events);
    if (result == 0) {
        result =
            open_socket(self, FW_SOCKET_ROUTER_BIND, FW_DOOR_CONTROL, config->control_endpoints,
                        &self->control, endpoints->control, sizeof endpoints->control);
    }
    return result;
}

/* A door that cannot be watched is as good a door; only its metric stays where it is. */
static void watch_doors(fw_broker_loop_t *self)
{
    zsock_t *sockets[FW_DOORS] = {[FW_DOOR_FIRE] = self->fire,
                                  [FW_DOOR_PUBLISH] = self->publish,
                                  [FW_DOOR_JOBS] = self->jobs,
                                  [FW_DOOR_EVENTS] = self->events,
                                  [FW_DOOR_CONTROL] = self->control};
    if (self->config.security)
        self->guard = fw_keyguard_new(self->config.security, self->registry);
    for (size_t i = 0; i < FW_DOORS; i++) {
        if (self->guard)
            fw_keyguard_watch(self->guard, (fw_domain_t)i, sockets[i]);
        self->handshakes[i] = fw_handshakes_new(sockets[i]);
        if (!self->handshakes[i])
            fw_log(FW_LOG_WARN, "failed handshakes cannot be counted, ignoring it",
                   FW_KV_TEXT("door", door_name((fw_door_t)i)));
    }
}

static void close_loop(fw_broker_loop_t *self)
{
    for (size_t i = 0; i < FW_DOORS; i++)
        fw_handshakes_destroy(&self->handshakes[i]);
    fw_keyguard_destroy(&self->guard);
    fw_core_destroy(&self->core);
    fw_broker_rooms_end(self);
    fw_policies_destroy(&self->policies);
    fw_subscriptions_destroy(&self->subscriptions);
    fw_fire_gaps_destroy(&self->fire_gaps);
    fw_broker_forget_gateways(self);
    fw_broker_forget_jobs(self);
    fw_codec_destroy(&self->decoder);
    fw_codec_destroy(&self->encoder);
    zsock_destroy(&self->fire);
    zsock_destroy(&self->publish);
    zsock_destroy(&self->jobs);
    zsock_destroy(&self->events);
    zsock_destroy(&self->control);
}

/* --- the loop */

static void read_clock(fw_broker_loop_t *self)
{
    self->now_us = fw_clock_us();
    self->wall_ms = fw_clock_wall_ms();
}

typedef void frame_fn(fw_broker_loop_t *self, const fw_peer_t *peer, fw_bytes_t frame);

static void on_fire(fw_broker_loop_t *self, const fw_peer_t *peer, fw_bytes_t frame)
{
    (void)peer;
    fw_broker_on_publisher(self, NULL, frame);
}

static void on_events(fw_broker_loop_t *self, const fw_peer_t *peer, fw_bytes_t frame)
{
    (void)peer;
    fw_broker_on_subscription(self, frame);
}

/* Reads what a socket has, within its turn. True when something may be left. */
static bool serve(fw_broker_loop_t *self, zsock_t *socket, fw_door_t door, bool router,
                  frame_fn *handle)
{
    zmq_msg_t frame;
    fw_peer_t peer = {0};
    int i = 0;
    (void)zmq_msg_init(&frame);
    int most = door == FW_DOOR_EVENTS ? SUBSCRIPTIONS_A_TURN_MAX : MESSAGES_A_TURN_MAX;
    for (; i < most; i++) {
        int result = router ? fw_socket_receive_from(socket, &peer, &frame)
                            : fw_socket_receive(socket, &frame);
        if (result == -EAGAIN)
            break;
        if (result < 0) {
            fw_refusal_t refusal = {.field = "message", .reason = "has more than one frame"};
            fw_broker_refused(self, door, "malformed", &refusal);
            continue;
        }
        if (self->guard && fw_keyguard_look(self->guard, (fw_domain_t)door, &frame,
                                            self->now_us / 1000, &self->sender) != 0)
            continue;
        if (door == FW_DOOR_EVENTS)
            self->events_sender = zmq_msg_get(&frame, ZMQ_SRCFD);
        handle(self, &peer, fw_socket_bytes(&frame));
    }
    zmq_msg_close(&frame);
    return i == most;
}

static bool serve_all(fw_broker_loop_t *self)
{
    read_clock(self);
    if (self->guard)
        fw_keyguard_refresh(self->guard, self->now_us / 1000);
    /* Answers of workers first: they empty the barrier. */
    bool more = serve(self, self->jobs, FW_DOOR_JOBS, true, fw_broker_on_worker);
    more |= serve(self, self->control, FW_DOOR_CONTROL, true, fw_broker_on_gateway);
    more |= serve(self, self->events, FW_DOOR_EVENTS, false, on_events);
    more |= serve(self, self->publish, FW_DOOR_PUBLISH, true, fw_broker_on_publisher);
    more |= self->fire && serve(self, self->fire, FW_DOOR_FIRE, false, on_fire);
    return more;
}

/* What ZeroMQ freed with a connection that was cut lies scattered over the heap. */
static void give_memory_back(fw_broker_loop_t *self)
{
    if (self->trims)
        (void)malloc_trim(0);
    self->trims = false;
}

static void count_failed_handshakes(fw_broker_loop_t *self)
{
    static const fw_refusal_t refusal = {.field = "connection",
                                         .reason = "ended before ZeroMQ's handshake"};
    for (size_t i = 0; i < FW_DOORS; i++)
        count_refused(self, (fw_door_t)i, "handshake", &refusal,
                      fw_handshakes_failed(self->handshakes[i]));
}

typedef struct {
    int64_t beacon_us; /* next */
    int64_t look_us;   /* next look for silent gateways and failed handshakes */
    int64_t descriptors_us;
} schedule_t;

static void do_due(fw_broker_loop_t *self, schedule_t *schedule)
{
    read_clock(self);
    if (fw_core_next_us(self->core) <= self->now_us)
        fw_core_tick(self->core, self->now_us);
    fw_fire_gaps_tick(self->fire_gaps, self->now_us);
    fw_broker_answer_waiting(self);
    fw_broker_rooms_tick(self);
    if (schedule->descriptors_us <= self->now_us) {
        schedule->descriptors_us = self->now_us + POLL_MS_MAX * INT64_C(1000);
        fw_broker_watch_descriptors(self);
        fw_broker_fit_queue(self);
    }
    if (schedule->look_us <= self->now_us) {
        schedule->look_us = self->now_us + SECOND_US;
        fw_broker_forget_silent_gateways(self);
        count_failed_handshakes(self);
        fw_broker_fire_show(self);
        fw_broker_rooms_show(self);
        give_memory_back(self);
    }
    if (schedule->beacon_us <= self->now_us) {
        schedule->beacon_us = self->now_us + (int64_t)self->config.beacon_interval_ms * 1000;
        fw_broker_beacon(self);
    }
}

static long wait_ms(const fw_broker_loop_t *self, const schedule_t *schedule)
{
    int64_t next_us = fw_core_next_us(self->core);
    const int64_t others_us[] = {schedule->beacon_us, fw_fire_gaps_next_us(self->fire_gaps),
                                 fw_broker_next_answer_us(self), fw_broker_rooms_next_us(self)};
    for (size_t i = 0; i < sizeof others_us / sizeof *others_us; i++)
        if (others_us[i] < next_us)
            next_us = others_us[i];
    int64_t wait = (next_us - fw_clock_us() + 999) / 1000;
    if (wait < 0)
        return 0;
    return wait > POLL_MS_MAX ? POLL_MS_MAX : (long)wait;
}

static void goodbye_publisher(void *context, const fw_peer_t *publisher)
{
    fw_broker_loop_t *self = context;
    fw_message_t goodbye = {.kind = FW_MESSAGE_GOODBYE, .goodbye = FW_TEXT("the broker stops")};
    fw_broker_reply(self, self->publish, FW_LINK_PUBLISHER_DOWN, publisher, &goodbye);
}

/* Fire-and-forget events that have come are taken; then their publishers see the link go, and keep
 * what they send for the next broker. With more than can be taken, or with a hole, something may be
 * lost unseen. */
static void drain(fw_broker_loop_t *self)
{
    int turns = 0;
    fw_core_drain(self->core);
    if (!self->fire)
        return;
    while (turns < LAST_FIRE_TURNS_MAX && serve(self, self->fire, FW_DOOR_FIRE, false, on_fire))
        turns++;
    fw_fire_gaps_stats_t stats;
    fw_fire_gaps_stats(self->fire_gaps, &stats);
    if (turns == LAST_FIRE_TURNS_MAX || stats.missing > 0)
        fw_core_leave_open(self->core);
    fw_handshakes_destroy(&self->handshakes[FW_DOOR_FIRE]);
    zsock_destroy(&self->fire);
}

static void run(fw_broker_loop_t *self, zsock_t *pipe, fw_pulse_t *pulse)
{
    zmq_pollitem_t items[] = {
        {zsock_resolve(pipe), 0, ZMQ_POLLIN, 0},
        {zsock_resolve(self->jobs), 0, ZMQ_POLLIN, 0},
        {zsock_resolve(self->control), 0, ZMQ_POLLIN, 0},
        {zsock_resolve(self->events), 0, ZMQ_POLLIN, 0},
        {zsock_resolve(self->publish), 0, ZMQ_POLLIN, 0},
        {zsock_resolve(self->fire), 0, ZMQ_POLLIN, 0},
    };
    schedule_t schedule = {0};
    int64_t stop_us = INT64_MAX; /* while draining: the last moment */
    bool more = false;
    for (;;) {
        fw_pulse_beat(pulse, fw_clock_ms());
        int count = (int)(sizeof items / sizeof *items) - !self->fire; /* it is the last one */
        (void)zmq_poll(items, count, more ? 0 : wait_ms(self, &schedule));
        fw_control_t control = fw_actor_receive(pipe);
        if (control == FW_CONTROL_STOP || control == FW_CONTROL_DRAIN) {
            drain(self);
            if (stop_us == INT64_MAX)
                stop_us = fw_clock_us() + DRAIN_MS_MAX * INT64_C(1000);
        }
        more = serve_all(self);
        do_due(self, &schedule);
        fw_broker_send_jobs(self);
        if (stop_us != INT64_MAX &&
            (fw_core_drained(self->core, self->now_us) || self->now_us >= stop_us))
            break;
    }
    fw_core_each_publisher(self->core, goodbye_publisher, self);
    fw_broker_goodbye_gateways(self);
    zsock_set_linger(self->publish, GOODBYE_LINGER_MS);
    zsock_set_linger(self->control, GOODBYE_LINGER_MS);
}

static void broker_actor(zsock_t *pipe, void *args)
{
    fw_broker_t *broker = args;
    fw_broker_loop_t self = {.config = broker->config, .registry = broker->metrics};
    fw_random_bytes(self.incarnation, sizeof self.incarnation);
    make_metrics(&self);
    self.decoder = fw_codec_new();
    self.encoder = fw_codec_new();
    self.endpoints = &broker->endpoints;
    int result = make_policies(&self);
    if (result == 0)
        result = open_sockets(&self, &broker->endpoints);
    if (result < 0) {
        close_loop(&self);
        fw_actor_ready(pipe, result);
        return;
    }
    watch_doors(&self);
    read_clock(&self);
    self.core = make_core(&self);
    fw_broker_fire_begin(&self);
    fw_broker_rooms_begin(&self);
    fw_broker_sessions_begin(&self);
    self.subscriptions = fw_subscriptions_new(broker->config.subscriptions_max);
    self.events_port = fw_cut_port(self.events);
    fw_pulse_t *pulse = fw_health_pulse(broker->health, "broker");
    fw_actor_ready(pipe, 0);
    fw_log(FW_LOG_INFO, "broker ready", FW_KV_TEXT("publish", broker->endpoints.publish),
           FW_KV_TEXT("events", broker->endpoints.events));
    run(&self, pipe, pulse);
    fw_pulse_end(pulse);
    close_loop(&self);
}

int fw_broker_start(const fw_broker_config_t *config, fw_metrics_t *metrics, fw_health_t *health,
                    fw_broker_t **ret_broker)
{
    fw_broker_t *self = fw_alloc(1, sizeof *self);
    self->config = *config;
    self->metrics = metrics;
    self->health = health;
    int result = fw_actor_start("broker", broker_actor, self, &self->actor);
    if (result < 0) {
        free(self);
        return result;
    }
    *ret_broker = self;
    return 0;
}

void fw_broker_endpoints(const fw_broker_t *self, fw_broker_endpoints_t *ret_endpoints)
{
    *ret_endpoints = self->endpoints;
}

void fw_broker_stop(fw_broker_t **self_p)
{
    if (!*self_p)
        return;
    fw_actor_stop(&(*self_p)->actor);
    free(*self_p);
    *self_p = NULL;
}
