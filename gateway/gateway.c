/* gateway.c - see gateway.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/gateway.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <rhonabwy.h>

#include "gateway/address.h"
#include "gateway/delays.h"
#include "gateway/desk.h"
#include "gateway/jwks.h"
#include "gateway/limits.h"
#include "gateway/listener.h"
#include "gateway/shard.h"
#include "gateway/shard_names.h"
#include "gateway/tls.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/fetch.h"
#include "runtime/log.h"
#include "runtime/random.h"

enum {
    DESCRIPTORS_SPARE =
        2048,              /* beside the connections: ZeroMQ, files, other roles of the process */
    DRAIN_SLACK_MS = 3000, /* beyond delay and window */
    SESSIONS_MIN = 16,     /* fewer are not worth starting for */
};

#define MIB ((size_t)1024 * 1024)

typedef struct {
    fw_shard_args_t args;
    fw_actor_t *actor;
} shard_t;

struct fw_gateway {
    fw_gateway_config_t config;
    fw_health_t *health;
    shard_t shards[FW_SHARDS_MAX];
    uint32_t shards_count; /* running */
    fw_shared_t *policies;
    fw_jwks_args_t jwks_args;
    fw_desk_args_t desk_args;
    char desk_endpoint[64]; /* where shards reach it; "" = there is none */
    fw_actor_t *desk;
    fw_actor_t *jwks; /* NULL = no key set is fetched */
    int port;
    int abort_fd;
    int drained_fd;
    bool drained;
};

fw_gateway_config_t fw_gateway_defaults(void)
{
    return (fw_gateway_config_t){
        .listen = "127.0.0.1:8080",
        .prefix = "",
        .events_endpoint = "tcp://127.0.0.1:7004",
        .control_endpoint = "tcp://127.0.0.1:7005",
        .publish_endpoint = "tcp://127.0.0.1:7002",
        .shards = 1,
        .tokens =
            {
                .secret = "",
                .previous_secret = "",
                .leeway_ms = 5000,
                .grace_ms = 10000,
                .cookie = "",
                .jwks_url = "",
                .jwks_ca_file = "",
                .jwks_refresh_ms = 10 * 60 * 1000,
                .jwks_cooldown_ms = 10000,
                .jwks_keep_ms = 24 * 60 * 60 * 1000,
                .jwks_timeout_ms = 3000,
            },
        .anonymous = true,
        .admin_endpoint = "",
        .authorise = {.url = "",
                      .key = "",
                      .ca_file = "",
                      .timeout_ms = 2000,
                      .concurrency = 8,
                      .remembered_max = 65536},
        .tls_certificate = "",
        .tls_key = "",
        .accepts_per_second = 2000,
        .half_open_max = 768,
        .sessions_per_user_max = 1000,
        .sessions_per_address_max = 1000,
        .request_ms = 10000,
        .body_ms = 30000,
        .sessions_max = 16384,
        .channels_per_session_max = 100,
        .message_bytes_max = 64 * 1024,
        .ring_events_max = 4096,
        .ring_bytes_max = 4 * MIB,
        .rings_bytes_max = 256 * MIB,
        .control_bytes_max = 64 * MIB,
        .linger_ms = 60000,
        .hello_ms = 5000,
        .ping_ms = 25000,
        .pong_ms = 10000,
        .drain_delay_ms = 5000,
        .drain_window_ms = 60000,
        .reconnect_window_ms = 2000,
        .reconnects_per_second = 500,
        .client_publish_per_second = 10,
        .client_publish_bytes_max = 4096,
    };
}

static bool check_authorise(const fw_authorise_config_t *config)
{
    return config->url && config->key && config->ca_file && config->timeout_ms > 0 &&
           config->timeout_ms <= FW_FETCH_TIMEOUT_MS_MAX && config->concurrency >= 1 &&
           config->concurrency <= FW_AUTHORISE_CONCURRENCY_MAX && config->remembered_max >= 1;
}

static int check(const fw_gateway_config_t *config)
{
    bool texts = config->listen && config->prefix && config->events_endpoint &&
                 config->control_endpoint && config->publish_endpoint;
    bool numbers = config->shards >= 1 && config->shards <= FW_SHARDS_MAX &&
                   config->sessions_max >= 1 && config->channels_per_session_max >= 1 &&
                   config->channels_per_session_max <= FW_CHANNELS_PER_SESSION_MAX &&
                   config->message_bytes_max >= 1024 &&
                   config->message_bytes_max <= FW_MESSAGE_BYTES_MAX &&
                   config->ring_events_max >= 1 && config->ring_events_max <= FW_RING_EVENTS_MAX;
    bool times = config->linger_ms >= 0 && config->hello_ms > 0 && config->ping_ms > 0 &&
                 config->ping_ms <= INT32_MAX && config->pong_ms > 0 &&
                 config->drain_delay_ms >= 0 && config->drain_window_ms >= 0 &&
                 config->reconnects_per_second >= 1 && config->connection_age_max_ms >= 0;
    bool door = config->tls_certificate && config->tls_key && config->half_open_max >= 1 &&
                config->half_open_max <= FW_CONNECTIONS_SPARE &&
                config->accepts_per_second <= FW_ACCEPTS_PER_SECOND_MAX && config->request_ms > 0 &&
                config->body_ms > 0 && config->admin_endpoint &&
                check_authorise(&config->authorise);
    for (size_t i = 0; i < config->trusted_proxies_count; i++) {
        fw_address_range_t range;
        door = door && fw_address_range_parse(fw_text(config->trusted_proxies[i]), &range) == 0;
    }
    return texts && numbers && times && door ? 0 : -EINVAL;
}

static int check_rules(const fw_gateway_config_t *config)
{
    fw_delays_t *delays = NULL;
    fw_config_error_t error;
    int result = fw_delays_new(config->channels, config->channels_count, &delays, &error);
    if (result != 0)
        fw_log(FW_LOG_ERROR, "a rule of channels cannot be understood",
               FW_KV_TEXT("reason", error.text));
    fw_delays_destroy(&delays);
    return result;
}

/* As many descriptors as are needed and no more: libwebsockets goes through the whole table, sized
 * by this limit, at every close. Returns the sessions per shard that fit. */
static uint32_t fit_descriptors(const fw_gateway_config_t *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return config->sessions_max;
    rlim_t per_shard = (rlim_t)config->sessions_max + FW_CONNECTIONS_SPARE;
    rlim_t needed = per_shard * config->shards + DESCRIPTORS_SPARE;
    uint32_t sessions = config->sessions_max;
    if (needed > limit.rlim_max) {
        rlim_t fixed = (rlim_t)FW_CONNECTIONS_SPARE * config->shards + DESCRIPTORS_SPARE;
        rlim_t left = limit.rlim_max > fixed ? (limit.rlim_max - fixed) / config->shards : 0;
        sessions = left > SESSIONS_MIN ? (uint32_t)left : SESSIONS_MIN;
        needed = limit.rlim_max;
        fw_log(FW_LOG_WARN, "too few file descriptors, sessions are limited",
               FW_KV_UINT("descriptors", limit.rlim_max),
               FW_KV_UINT("sessions_max", config->sessions_max),
               FW_KV_UINT("limited_to", sessions));
    }
    limit.rlim_cur = needed;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        fw_log(FW_LOG_WARN, "the limit of file descriptors cannot be set, ignoring",
               FW_KV_ERROR(-errno));
    return sessions;
}

static void close_fd(int *fd_p)
{
    if (*fd_p >= 0)
        (void)close(*fd_p);
    *fd_p = -1;
}

static void stop_shards(fw_gateway_t *self)
{
    for (uint32_t i = 0; i < self->shards_count; i++) {
        fw_actor_stop(&self->shards[i].actor);
        close_fd(&self->shards[i].args.listen_fd);
    }
    self->shards_count = 0;
    fw_actor_stop(&self->jwks);
    fw_actor_stop(&self->desk);
    fw_shared_destroy(&self->policies);
    /* Whoever asked for an end has done so by now: what he wrote comes before the close. */
    uint64_t asked = 0;
    if (self->abort_fd >= 0)
        (void)!read(self->abort_fd, &asked, sizeof asked);
    close_fd(&self->abort_fd);
    close_fd(&self->drained_fd);
}

static int start_shard(fw_gateway_t *self, uint32_t number, fw_metrics_t *metrics,
                       uint32_t sessions_max)
{
    shard_t *shard = &self->shards[number];
    int fd = -1;
    int result = fw_listener_open(self->config.listen, self->port, &fd, &self->port);
    if (result != 0)
        return result;
    shard->args = (fw_shard_args_t){
        .policies = self->policies,
        .number = number,
        .listen_fd = fd,
        .abort_fd = self->abort_fd,
        .drained_fd = self->drained_fd,
        .sessions_max = sessions_max,
        .jwks_endpoint = self->jwks_args.endpoint,
        .desk_endpoint = self->desk_endpoint,
        .metrics = metrics,
        .pulse = fw_health_pulse(self->health, fw_shard_names[number].actor),
        .linked = fw_health_condition(self->health, fw_shard_names[number].condition),
        .degraded = fw_health_degraded(self->health, fw_shard_names[number].condition),
    };
    result =
        fw_actor_start(fw_shard_names[number].actor, fw_shard_run, &shard->args, &shard->actor);
    if (result == 0)
        self->shards_count++;
    else
        close_fd(&shard->args.listen_fd);
    return result;
}

static int make_policy(const fw_gateway_t *self, const fw_gateway_config_t *fresh,
                       fw_policy_t **ret_policy)
{
    char reason[512];
    int result = fw_policy_new(&self->config, fresh, ret_policy, reason, sizeof reason);
    if (result != 0)
        fw_log(FW_LOG_ERROR, "the keys of tokens cannot be used", FW_KV_TEXT("reason", reason));
    return result;
}

static int make_policies(fw_gateway_t *self)
{
    fw_policy_t *policy = NULL;
    int result = make_policy(self, &self->config, &policy);
    if (result == 0)
        self->policies = fw_shared_new(policy, fw_policy_destroy);
    return result;
}

int fw_gateway_reload(fw_gateway_t *self, const fw_gateway_config_t *fresh)
{
    fw_policy_t *policy = NULL;
    int result = check(fresh);
    if (result == 0)
        result = make_policy(self, fresh, &policy);
    if (result != 0)
        return result;
    fw_shared_put(self->policies, policy);
    for (uint32_t i = 0; i < self->shards_count; i++)
        if (fw_actor_send(self->shards[i].actor, FW_CONTROL_RELOAD) != 0)
            fw_log(FW_LOG_WARN, "a shard takes no controls: it goes on with the old configuration",
                   FW_KV_UINT("shard", i));
    return 0;
}

/* Who fetches the key set, if there is one to fetch. */
/* Before the shards, which tell it that they are there. */
static int start_desk(fw_gateway_t *self, fw_metrics_t *metrics)
{
    uint64_t number;
    if (!*self->config.admin_endpoint)
        return 0;
    fw_random_bytes(&number, sizeof number);
    (void)snprintf(self->desk_endpoint, sizeof self->desk_endpoint,
                   "inproc://freshwire-desk-%016" PRIx64, number);
    self->desk_args = (fw_desk_args_t){
        .admin_endpoint = self->config.admin_endpoint,
        .shards_endpoint = self->desk_endpoint,
        .shards = self->config.shards,
        .metrics = metrics,
        .pulse = fw_health_pulse(self->health, "desk"),
    };
    return fw_actor_start("desk", fw_desk_run, &self->desk_args, &self->desk);
}

static int start_jwks(fw_gateway_t *self, fw_metrics_t *metrics)
{
    uint64_t number;
    fw_jwks_metrics_init(&self->jwks_args.metrics, metrics);
    if (!*self->config.tokens.jwks_url)
        return 0;
    fw_fetch_prepare();
    fw_random_bytes(&number, sizeof number);
    self->jwks_args.config = &self->config.tokens;
    self->jwks_args.ready = fw_health_condition(self->health, "token keys");
    (void)snprintf(self->jwks_args.endpoint, sizeof self->jwks_args.endpoint,
                   "inproc://freshwire-jwks-%016" PRIx64, number);
    return fw_actor_start("jwks", fw_jwks_run, &self->jwks_args, &self->jwks);
}

int fw_gateway_start(const fw_gateway_config_t *config, fw_metrics_t *metrics, fw_health_t *health,
                     fw_gateway_t **ret_gateway)
{
    int result = check(config);
    if (result == 0)
        result = check_rules(config);
    if (result != 0)
        return result;
    if (*config->tls_certificate) {
        char reason[FW_TLS_REASON_SIZE] = "";
        result = fw_tls_check(config->tls_certificate, config->tls_key, reason);
        if (result != 0) {
            fw_log(FW_LOG_ERROR, "certificate is refused", FW_KV_TEXT("reason", reason));
            return result;
        }
    }
    fw_gateway_t *self = fw_alloc(1, sizeof *self);
    self->config = *config;
    self->health = health;
    self->abort_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->drained_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->abort_fd < 0 || self->drained_fd < 0)
        result = -errno;
    else if (r_global_init() != RHN_OK)
        result = -EIO;
    if (result == 0)
        result = make_policies(self);
    if (result == 0)
        result = start_jwks(self, metrics);
    if (result == 0)
        result = start_desk(self, metrics);
    uint32_t sessions_max = fit_descriptors(config);
    for (uint32_t i = 0; result == 0 && i < config->shards; i++)
        result = start_shard(self, i, metrics, sessions_max);
    if (result != 0) {
        stop_shards(self);
        free(self);
        return result;
    }
    fw_log(FW_LOG_INFO, "gateway is listening", FW_KV_TEXT("listen", config->listen),
           FW_KV_INT("port", self->port), FW_KV_UINT("shards", config->shards));
    *ret_gateway = self;
    return 0;
}

int fw_gateway_port(const fw_gateway_t *self)
{
    return self->port;
}

/* Waits until every shard has drained, or has had the time to. */
static void await_drained(fw_gateway_t *self)
{
    const fw_policy_t *policy = fw_shared_take(self->policies);
    int64_t deadline_ms = fw_clock_ms() + policy->config.drain_delay_ms +
                          policy->config.drain_window_ms + DRAIN_SLACK_MS;
    fw_shared_give_back(self->policies, policy);
    uint64_t drained = 0;
    while (drained < self->shards_count) {
        int64_t left_ms = deadline_ms - fw_clock_ms();
        struct pollfd ready = {.fd = self->drained_fd, .events = POLLIN};
        if (left_ms <= 0)
            return;
        int count = poll(&ready, 1, left_ms > 1000 ? 1000 : (int)left_ms);
        uint64_t more = 0;
        if (count > 0 && read(self->drained_fd, &more, sizeof more) == sizeof more)
            drained += more;
    }
}

void fw_gateway_drain(fw_gateway_t *self)
{
    if (self->drained)
        return;
    self->drained = true;
    fw_health_set_draining(self->health);
    fw_log(FW_LOG_INFO, "gateway is draining", FW_KV_INT("delay_ms", self->config.drain_delay_ms),
           FW_KV_INT("window_ms", self->config.drain_window_ms));
    for (uint32_t i = 0; i < self->shards_count; i++) {
        int result = fw_actor_send(self->shards[i].actor, FW_CONTROL_DRAIN);
        assert(result == 0);
        (void)result;
    }
    await_drained(self);
}

void fw_gateway_stop(fw_gateway_t **self_p)
{
    fw_gateway_t *self = *self_p;
    if (!self)
        return;
    fw_gateway_drain(self);
    stop_shards(self);
    fw_log(FW_LOG_INFO, "gateway has stopped");
    free(self);
    *self_p = NULL;
}

void fw_gateway_abort(fw_gateway_t *self)
{
    const uint64_t one = 1;
    /* Only this is done from another thread: an eventfd is made for it. */
    ssize_t written = write(self->abort_fd, &one, sizeof one);
    (void)written;
}
