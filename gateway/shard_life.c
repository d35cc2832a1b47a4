/* shard_life.c - how a shard begins and ends.   SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/shard_auth.h"
#include "gateway/shard_authorise.h"
#include "gateway/shard_rooms.h"
#include "gateway/shard_sessions.h"
#include "gateway/shard_tls.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"

enum {
    PLUGS = 8,           /* see plug_descriptors */
    HTTP_TIMEOUT_S = 10, /* for a request's headers, and between pieces of its body */
    HTTP_IDLE_S = 30,    /* between requests */
};

static void name_protocols(fw_shard_t *self)
{
    const char *names[FW_SUBPROTOCOLS] = {"", FW_SUBPROTOCOL_JSON, FW_SUBPROTOCOL_PROTOBUF,
                                          self->unknown};
    for (size_t i = 0; i < FW_SUBPROTOCOLS; i++) {
        self->protocols[i] = (struct lws_protocols){
            .name = names[i],
            .callback = fw_shard_called_back,
            .rx_buffer_size = 256,
            .tx_packet_size = FW_GATHER_BYTES_MAX,
        };
    }
}

/* Every value here was chosen for a measured reason: docs/decisions, research on the gateway's I/O.
 */
static int create_context(fw_shard_t *self)
{
    /* Zeros in a vhost's policy switch the library's own pings off: its timers are one sorted list.
     */
    static const lws_retry_bo_t no_pings = {.secs_since_valid_ping = 0};
    void *loops[1] = {&self->loop};
    name_protocols(self);
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = self->protocols,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN,
        .foreign_loops = loops,
        .pt_serv_buf_size = 8192,
        .max_http_header_data = FW_HEADERS_BYTES_MAX,
        .retry_and_idle_policy = &no_pings,
        .timeout_secs = HTTP_TIMEOUT_S,
        .timeout_secs_ah_idle = HTTP_TIMEOUT_S,
        .keepalive_timeout = HTTP_IDLE_S,
        .alpn = "http/1.1",
        .user = self,
        .uid = -1,
        .gid = -1,
    };
    fw_shard_tls_open(self, &info);
    self->lws = lws_create_context(&info);
    if (!self->lws)
        return -EIO;
    self->vhost = lws_get_vhost_by_name(self->lws, "default");
    return self->vhost ? 0 : -EIO;
}

static int start_handles(fw_shard_t *self)
{
    int result = uv_poll_init(&self->loop, &self->listener, self->args->listen_fd);
    if (result == 0)
        result = uv_poll_init(&self->loop, &self->abort, self->args->abort_fd);
    if (result == 0)
        result = uv_timer_init(&self->loop, &self->ticker);
    if (result == 0)
        result = uv_timer_init(&self->loop, &self->pacer);
    if (result == 0)
        result = uv_prepare_init(&self->loop, &self->prepare);
    if (result == 0)
        result = uv_idle_init(&self->loop, &self->idle);
    if (result == 0)
        result = fw_wakeup_new(&self->loop, self->pipe, &self->pipe_wakeup);
    if (result != 0)
        return result;
    self->listener.data = self;
    self->abort.data = self;
    self->ticker.data = self;
    self->pacer.data = self;
    self->prepare.data = self;
    result = uv_poll_start(&self->listener, UV_READABLE, fw_accept_ready);
    if (result == 0)
        result = uv_poll_start(&self->abort, UV_READABLE, fw_drain_aborted);
    if (result == 0)
        result = uv_timer_start(&self->ticker, fw_shard_ticked, FW_WHEEL_TICK_MS, FW_WHEEL_TICK_MS);
    if (result == 0)
        result = uv_prepare_start(&self->prepare, fw_shard_prepared);
    return result;
}

static int start_uplink(fw_shard_t *self, int64_t now_ms)
{
    fw_uplink_options_t options = {
        .events_endpoint = self->config->events_endpoint,
        .control_endpoint = self->config->control_endpoint,
        .publish_endpoint = self->config->publish_endpoint,
        .security = self->config->security,
        .loop = &self->loop,
        .hub = self->hub,
        .rooms = fw_shard_rooms_of(self),
        .commands = fw_shard_sessions_commands(self),
        .metrics = &self->metrics,
        .published = fw_http_published,
        .published_context = self,
    };
    return fw_uplink_new(&options, now_ms, &self->uplink);
}

static void build(fw_shard_t *self, int64_t now_ms)
{
    const fw_gateway_config_t *config = self->config;
    fw_config_error_t error;
    if (config->channels_count > 0) {
        /* The gateway has checked them. */
        int result = fw_delays_new(config->channels, config->channels_count, &self->delays, &error);
        assert(result == 0);
        (void)result;
    }
    fw_hub_limits_t limits = {
        .ring = {config->ring_events_max, config->ring_bytes_max},
        .rings_bytes_max = config->rings_bytes_max,
        .linger_ms = config->linger_ms,
        .delays = self->delays,
        .ping_ms = (uint32_t)config->ping_ms,
        .reconnect_window_ms = config->reconnect_window_ms,
    };
    fw_gateway_metrics_init(&self->metrics, self->args->metrics);
    fw_random_bytes(&self->random, sizeof self->random);
    self->sessions_max = self->args->sessions_max;
    fw_door_open(self);
    self->hub = fw_hub_new(&limits);
    self->wheel = fw_wheel_new(now_ms);
    self->codec = fw_codec_new();
    self->dialogue = (fw_dialogue_t){
        .hub = self->hub,
        .codec = self->codec,
        .refused = &self->refused,
        .anonymous = config->anonymous,
        .channels_max = config->channels_per_session_max,
        .resume_max = config->channels_per_session_max,
    };
    fw_shard_rooms_begin(self);
}

static void close_handle(uv_handle_t *handle)
{
    if (handle->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* The library (4.1.6) closes its event pipe twice, the second time in a later turn of the loop. The
 * lowest free numbers are taken meanwhile, so that it does not hit a descriptor of another thread.
 */
static void plug_descriptors(const fw_shard_t *self, int plugs[PLUGS])
{
    for (int i = 0; i < PLUGS; i++)
        plugs[i] = fcntl(self->args->listen_fd, F_DUPFD_CLOEXEC, 0);
}

/* Closes the copies, but not the number that the library closed: it may be somebody's by now. */
static void unplug_descriptors(const fw_shard_t *self, const int plugs[PLUGS])
{
    struct stat ours, now;
    if (fstat(self->args->listen_fd, &ours) != 0)
        return;
    for (int i = 0; i < PLUGS; i++) {
        if (plugs[i] >= 0 && fstat(plugs[i], &now) == 0 && now.st_dev == ours.st_dev &&
            now.st_ino == ours.st_ino)
            (void)close(plugs[i]);
    }
}

/* Own handles first; the library's close in the turns that follow. */
static void tear_down(fw_shard_t *self)
{
    fw_door_shut(self);
    fw_wakeup_destroy(&self->pipe_wakeup);
    fw_shard_auth_stop(self);
    close_handle((uv_handle_t *)&self->listener);
    close_handle((uv_handle_t *)&self->abort);
    close_handle((uv_handle_t *)&self->ticker);
    close_handle((uv_handle_t *)&self->pacer);
    close_handle((uv_handle_t *)&self->prepare);
    close_handle((uv_handle_t *)&self->idle);
    fw_shard_authorise_close(self);
    fw_shard_sessions_close(self);
    fw_uplink_destroy(&self->uplink);
    int plugs[PLUGS];
    if (self->lws)
        lws_context_destroy(self->lws);
    plug_descriptors(self, plugs);
    (void)uv_run(&self->loop, UV_RUN_DEFAULT);
    unplug_descriptors(self, plugs);
    /* On a loop of ours the first call only begins; now that every handle is closed, the second one
     * ends it. */
    if (self->lws)
        lws_context_destroy(self->lws);
    int result = uv_loop_close(&self->loop);
    assert(result == 0);
    (void)result;
    if (self->hub) {
        fw_shard_report(self);
        fw_shard_report_link(self, false);
        fw_gauge_add(self->metrics.subscriptions, -(int64_t)self->reported.subscriptions);
        fw_gauge_add(self->metrics.channels, -(int64_t)self->reported.channels);
        fw_gauge_add(self->metrics.ring_bytes, -(int64_t)self->reported.rings_bytes);
        fw_gauge_add(self->metrics.control_bytes, -(int64_t)self->control_bytes);
    }
    fw_door_close(self);
    fw_shard_tls_close(self);
    fw_hub_destroy(&self->hub);
    fw_shard_rooms_end(self);
    fw_shard_authorise_end(self);
    fw_shard_sessions_end(self);
    fw_delays_destroy(&self->delays);
    fw_shard_auth_end(self);
    fw_wheel_destroy(&self->wheel);
    for (int i = 0; i < FW_ENCODINGS; i++) {
        fw_gather_destroy(&self->gathers[i][false]);
        fw_gather_destroy(&self->gathers[i][true]);
    }
    fw_codec_destroy(&self->codec);
    free(self->all);
}

void fw_shard_run(zsock_t *pipe, void *args)
{
    fw_shard_t *self = fw_alloc(1, sizeof *self);
    int64_t now_ms = fw_clock_ms();
    self->args = args;
    self->policy = fw_shared_take(self->args->policies);
    self->config = &self->policy->config;
    self->pipe = pipe;
    int result = uv_loop_init(&self->loop);
    if (result != 0) {
        fw_shared_give_back(self->args->policies, self->policy);
        fw_actor_ready(pipe, result);
        free(self);
        return;
    }
    build(self, now_ms);
    result = fw_shard_sessions_begin(self);
    if (result == 0)
        result = fw_shard_authorise_begin(self);
    if (result == 0)
        result = create_context(self);
    if (result == 0)
        result = fw_shard_auth_begin(self);
    if (result == 0)
        result = start_uplink(self, now_ms);
    if (result == 0)
        result = start_handles(self);
    fw_actor_ready(pipe, result);
    while (result == 0 && !self->stopping)
        (void)uv_run(&self->loop, UV_RUN_DEFAULT);
    fw_pulse_end(self->args->pulse);
    tear_down(self);
    fw_shared_give_back(self->args->policies, self->policy);
    free(self);
}
