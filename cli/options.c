/* options.c - from the configuration to what the roles are given.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "cli/options.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "cli/audit_role.h"
#include "cli/link_security.h"
#include "cli/options_tokens.h"
#include "gateway/address.h"
#include "gateway/delays.h"
#include "workers/redis_url.h"

static const char *const link_names[] = {"fire", "publish", "jobs", "events", "control"};

enum {
    LINKS = sizeof link_names / sizeof *link_names,
    HOST_SIZE_MAX = 253,
    NAMESPACE_SIZE_MAX = 64
};

static char *endpoint_of(fw_endpoints_t *endpoints, int link)
{
    char *const texts[LINKS] = {endpoints->fire, endpoints->publish, endpoints->jobs,
                                endpoints->events, endpoints->control};
    return texts[link];
}

static int64_t port_of(const fw_config_t *config, int link)
{
    char path[64];
    (void)snprintf(path, sizeof path, "broker.ports.%s", link_names[link]);
    return fw_config_number(config, path);
}

/* An IPv6 address stands in brackets in an endpoint. */
static void write_endpoint(char *text, const char *host, const char *port)
{
    bool bare = strchr(host, ':') && host[0] != '[';
    int size = snprintf(text, FW_ENDPOINT_SIZE_MAX, "tcp://%s%s%s:%s", bare ? "[" : "", host,
                        bare ? "]" : "", port);
    assert(size > 0 && size < FW_ENDPOINT_SIZE_MAX);
    (void)size;
}

void fw_options_bind_endpoints(const fw_config_t *config, fw_roles_t roles,
                               fw_endpoints_t *ret_endpoints)
{
    for (int link = 0; link < LINKS; link++) {
        char port[8];
        char tcp[FW_ENDPOINT_SIZE_MAX];
        int64_t number = port_of(config, link);
        (void)snprintf(port, sizeof port, "%d", (int)number);
        write_endpoint(tcp, fw_config_text(config, "broker.bind"), number ? port : "*");
        char *text = endpoint_of(ret_endpoints, link);
        /* The TCP endpoint comes last: the broker reports the last one. */
        int size = roles == FW_ROLE_ALL
                       ? snprintf(text, FW_ENDPOINT_SIZE_MAX, "inproc://freshwire-%s,%s",
                                  link_names[link], tcp)
                       : snprintf(text, FW_ENDPOINT_SIZE_MAX, "%s", tcp);
        assert(size > 0 && size < FW_ENDPOINT_SIZE_MAX);
        (void)size;
    }
}

void fw_options_connect_endpoints(const fw_config_t *config, fw_roles_t roles,
                                  fw_endpoints_t *ret_endpoints)
{
    for (int link = 0; link < LINKS; link++) {
        char port[8];
        char *text = endpoint_of(ret_endpoints, link);
        (void)snprintf(port, sizeof port, "%d", (int)port_of(config, link));
        if (roles == FW_ROLE_ALL)
            (void)snprintf(text, FW_ENDPOINT_SIZE_MAX, "inproc://freshwire-%s", link_names[link]);
        else
            write_endpoint(text, fw_config_text(config, "broker.host"), port);
    }
}

static uint32_t number32(const fw_config_t *config, const char *path)
{
    int64_t number = fw_config_number(config, path);
    assert(number >= 0 && number <= UINT32_MAX);
    return (uint32_t)number;
}

static size_t bytes(const fw_config_t *config, const char *path)
{
    return (size_t)fw_config_number(config, path);
}

fw_broker_config_t fw_options_broker(const fw_config_t *config, const fw_endpoints_t *bind)
{
    const char *const *rules = NULL;
    size_t rules_count = fw_config_list(config, "broker.channels", &rules);
    return (fw_broker_config_t){
        .fire_endpoints = bind->fire,
        .publish_endpoints = bind->publish,
        .jobs_endpoints = bind->jobs,
        .events_endpoints = bind->events,
        .control_endpoints = bind->control,
        .credit = number32(config, "broker.credit"),
        .barrier_first_ms = fw_config_number(config, "broker.barrier_first"),
        .barrier_timeout_ms = fw_config_number(config, "broker.barrier_timeout"),
        .hold_timeout_ms = fw_config_number(config, "broker.hold_timeout"),
        .cache = fw_config_bool(config, "broker.cache"),
        .open_timeout_ms = fw_config_number(config, "broker.open_timeout"),
        .held_max = number32(config, "broker.held_max"),
        .jobs_max = number32(config, "broker.jobs_max"),
        .held_bytes_max = bytes(config, "broker.held_bytes_max"),
        .jobs_bytes_max = bytes(config, "broker.jobs_bytes_max"),
        .dedupe_bytes_max = bytes(config, "broker.dedupe_bytes_max"),
        .beacon_interval_ms = number32(config, "broker.beacon_interval"),
        .subscriptions_max = number32(config, "broker.subscriptions_max"),
        .queue_bytes_max = bytes(config, "broker.queue_bytes_max"),
        .dedupe_ms = fw_config_number(config, "broker.dedupe_window"),
        .dedupe_max = number32(config, "broker.dedupe_max"),
        .history_events_max = number32(config, "broker.history_events_max"),
        .history_channel_bytes_max = bytes(config, "broker.history_channel_bytes_max"),
        .history_ms = fw_config_number(config, "broker.history_age"),
        .channels_max = number32(config, "broker.channels_max"),
        .history_bytes_max = bytes(config, "broker.history_bytes_max"),
        .channel_rules = rules,
        .channel_rules_count = rules_count,
        .replay_bytes_per_second = bytes(config, "broker.replay_rate"),
        .presence_grace_ms = fw_config_number(config, "broker.presence_grace"),
        .presence_members_max = number32(config, "broker.presence_members_max"),
        .presence_bytes_max = bytes(config, "broker.presence_bytes_max"),
        .fire_repair_ms = fw_config_number(config, "broker.fire_repair"),
        .fire_reset = strcmp(fw_config_text(config, "broker.fire_loss"), "reset") == 0,
    };
}

fw_workers_config_t fw_options_workers(const fw_config_t *config, const fw_endpoints_t *connect)
{
    return (fw_workers_config_t){
        .jobs_endpoint = connect->jobs,
        .redis_url = fw_config_text(config, "worker.redis_url"),
        .name_space = fw_config_text(config, "worker.namespace"),
        .actors = number32(config, "worker.actors"),
        .capacity = number32(config, "worker.capacity"),
        .stamp_ttl_ms = fw_config_number(config, "worker.stamp_ttl"),
        .redis_timeout_ms = fw_config_number(config, "worker.redis_timeout"),
        .sweep_duty_percent = number32(config, "worker.sweep_duty_percent"),
        .sweep_count = number32(config, "worker.sweep_count"),
        .sweep_prefix_min = number32(config, "worker.sweep_prefix_min"),
        .delay_ms = fw_config_number(config, "worker.delay"),
    };
}

static int64_t drain_ms(const fw_config_t *config, fw_roles_t roles, const char *path)
{
    bool by_default = strcmp(fw_config_origin(config, path), "default") == 0;
    return roles == FW_ROLE_ALL && by_default ? 0 : fw_config_number(config, path);
}

static fw_proxy_protocol_t proxy_protocol(const fw_config_t *config)
{
    const char *version = fw_config_text(config, "gateway.proxy_protocol");
    if (strcmp(version, "v1") == 0)
        return FW_PROXY_V1;
    return strcmp(version, "v2") == 0 ? FW_PROXY_V2 : FW_PROXY_OFF;
}

fw_gateway_config_t fw_options_gateway(const fw_config_t *config, fw_roles_t roles,
                                       const fw_endpoints_t *connect)
{
    fw_gateway_config_t gateway = {
        .listen = fw_config_text(config, "gateway.listen"),
        .prefix = fw_config_text(config, "gateway.prefix"),
        .events_endpoint = connect->events,
        .control_endpoint = connect->control,
        .publish_endpoint = connect->publish,
        .shards = number32(config, "gateway.shards"),
        .tls_certificate = fw_config_text(config, "gateway.tls.certificate"),
        .tls_key = fw_config_text(config, "gateway.tls.key"),
        .proxy_protocol = proxy_protocol(config),
        .accepts_per_second = number32(config, "gateway.accepts_per_second"),
        .half_open_max = number32(config, "gateway.half_open_max"),
        .sessions_per_user_max = number32(config, "gateway.sessions_per_user_max"),
        .sessions_per_address_max = number32(config, "gateway.sessions_per_address_max"),
        .request_ms = fw_config_number(config, "gateway.request_timeout"),
        .body_ms = fw_config_number(config, "gateway.body_timeout"),
        .tokens = fw_options_tokens(config),
        .anonymous = fw_config_bool(config, "gateway.anonymous"),
        .sessions_max = number32(config, "gateway.sessions_max"),
        .channels_per_session_max = number32(config, "gateway.channels_per_session_max"),
        .message_bytes_max = number32(config, "gateway.message_bytes_max"),
        .ring_events_max = number32(config, "gateway.ring_events_max"),
        .ring_bytes_max = bytes(config, "gateway.ring_bytes_max"),
        .rings_bytes_max = bytes(config, "gateway.rings_bytes_max"),
        .control_bytes_max = bytes(config, "gateway.control_bytes_max"),
        .linger_ms = fw_config_number(config, "gateway.linger"),
        .hello_ms = fw_config_number(config, "gateway.hello_timeout"),
        .ping_ms = fw_config_number(config, "gateway.ping_interval"),
        .pong_ms = fw_config_number(config, "gateway.pong_timeout"),
        .drain_delay_ms = drain_ms(config, roles, "gateway.drain_delay"),
        .drain_window_ms = drain_ms(config, roles, "gateway.drain_window"),
        .reconnect_window_ms = number32(config, "gateway.reconnect_window"),
        .authorise =
            {
                .url = fw_config_text(config, "gateway.authorise.url"),
                .key = fw_config_text(config, "gateway.authorise.key"),
                .ca_file = fw_config_text(config, "gateway.authorise.ca"),
                .timeout_ms = fw_config_number(config, "gateway.authorise.timeout"),
                .concurrency = number32(config, "gateway.authorise.concurrency"),
                .remembered_max = number32(config, "gateway.authorise.remembered_max"),
            },
        .reconnects_per_second = number32(config, "gateway.reconnects_per_second"),
        .connection_age_max_ms = fw_config_number(config, "gateway.connection_age_max"),
    };
    gateway.publish_keys_count =
        fw_config_list(config, "gateway.publish_keys", &gateway.publish_keys);
    gateway.trusted_proxies_count =
        fw_config_list(config, "gateway.trusted_proxies", &gateway.trusted_proxies);
    gateway.client_publish_per_second = number32(config, "gateway.client_publish.rate");
    gateway.client_publish_bytes_max = bytes(config, "gateway.client_publish.bytes_max");
    gateway.client_publish_keep = fw_config_bool(config, "gateway.client_publish.keep");
    gateway.client_publish_types_count =
        fw_config_list(config, "gateway.client_publish.types", &gateway.client_publish_types);
    gateway.origins_count = fw_config_list(config, "gateway.origins", &gateway.origins);
    gateway.channels_count = fw_config_list(config, "gateway.channels", &gateway.channels);
    return gateway;
}

static int refuse(const fw_config_t *config, const char *path, const char *what,
                  fw_config_error_t *ret_error)
{
    (void)snprintf(ret_error->text, sizeof ret_error->text, "%s: %s: %s",
                   fw_config_origin(config, path), path, what);
    return -EINVAL;
}

/* A host name or address: what may stand between "tcp://" and ":port". */
static bool is_host(const char *text)
{
    size_t size = strlen(text);
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]%*";
    return size > 0 && size <= HOST_SIZE_MAX && strspn(text, allowed) == size;
}

static int check_broker(const fw_config_t *config, fw_config_error_t *ret_error)
{
    if (!is_host(fw_config_text(config, "broker.bind")))
        return refuse(config, "broker.bind", "must be an address such as 127.0.0.1, 0.0.0.0 or *",
                      ret_error);
    const char *host = fw_config_text(config, "broker.host");
    if (!is_host(host) || strchr(host, '*'))
        return refuse(config, "broker.host", "must be a host name or address", ret_error);
    if (fw_config_number(config, "broker.barrier_first") >
        fw_config_number(config, "broker.barrier_timeout"))
        return refuse(config, "broker.barrier_first",
                      "must not be longer than broker.barrier_timeout", ret_error);
    if (bytes(config, "broker.history_channel_bytes_max") >
        bytes(config, "broker.history_bytes_max"))
        return refuse(config, "broker.history_channel_bytes_max",
                      "must not be larger than broker.history_bytes_max", ret_error);
    for (int i = 0; i < LINKS; i++) {
        for (int j = 0; j < i; j++) {
            if (port_of(config, i) != 0 && port_of(config, i) == port_of(config, j)) {
                char path[64];
                (void)snprintf(path, sizeof path, "broker.ports.%s", link_names[i]);
                return refuse(config, path, "is the port of another link", ret_error);
            }
        }
    }
    return 0;
}

static int check_worker(const fw_config_t *config, fw_config_error_t *ret_error)
{
    fw_redis_url_t urls[FW_REDIS_TARGETS_MAX];
    size_t count = 0;
    const char *reason = "";
    int result =
        fw_redis_urls_parse(fw_config_text(config, "worker.redis_url"), urls, &count, &reason);
    explicit_bzero(urls, sizeof urls);
    if (result != 0)
        return refuse(config, "worker.redis_url", reason, ret_error);
    const char *name_space = fw_config_text(config, "worker.namespace");
    size_t size = strlen(name_space);
    if (size < 1 || size > NAMESPACE_SIZE_MAX || strcspn(name_space, "*?[]\\: \t\r\n") != size)
        return refuse(config, "worker.namespace",
                      "must be 1 to 64 characters without spaces, ':' or wildcards", ret_error);
    return 0;
}

static bool is_listen(const char *text)
{
    const char *colon = strrchr(text, ':');
    if (!colon || strlen(colon) < 2 || strlen(colon) > 6 ||
        colon[1 + strspn(colon + 1, "0123456789")] != '\0')
        return false;
    char host[HOST_SIZE_MAX + 1];
    size_t size = (size_t)(colon - text);
    if (size >= sizeof host)
        return false;
    memcpy(host, text, size);
    host[size] = '\0';
    return size == 0 || is_host(host);
}

static int check_gateway(const fw_config_t *config, fw_config_error_t *ret_error)
{
    static const char listen[] = "must be address:port, for example 127.0.0.1:8080 or :8080";
    const char *admin = fw_config_text(config, "admin.listen");
    if (*admin && !is_listen(admin))
        return refuse(config, "admin.listen", listen, ret_error);
    if (!is_listen(fw_config_text(config, "gateway.listen")))
        return refuse(config, "gateway.listen", listen, ret_error);
    const char *prefix = fw_config_text(config, "gateway.prefix");
    size_t size = strlen(prefix);
    if (size > 0 &&
        (prefix[0] != '/' || prefix[size - 1] == '/' || strcspn(prefix, "?# {}") != size))
        return refuse(config, "gateway.prefix",
                      "must be empty or begin with '/' and not end with it", ret_error);
    if (!*fw_config_text(config, "gateway.tls.certificate") !=
        !*fw_config_text(config, "gateway.tls.key"))
        return refuse(config, "gateway.tls.key",
                      "is needed with gateway.tls.certificate, and only "
                      "then",
                      ret_error);
    const char *const *proxies = NULL;
    size_t proxies_count = fw_config_list(config, "gateway.trusted_proxies", &proxies);
    for (size_t i = 0; i < proxies_count; i++) {
        fw_address_range_t range;
        if (fw_address_range_parse(fw_text(proxies[i]), &range) != 0)
            return refuse(config, "gateway.trusted_proxies",
                          "must be addresses or ranges, for example 10.0.0.0/8", ret_error);
    }
    const char *const *rules = NULL;
    size_t rules_count = fw_config_list(config, "gateway.channels", &rules);
    fw_delays_t *delays = NULL;
    if (fw_delays_new(rules, rules_count, &delays, ret_error) != 0)
        return -EINVAL;
    fw_delays_destroy(&delays);
    if (bytes(config, "gateway.ring_bytes_max") > bytes(config, "gateway.rings_bytes_max"))
        return refuse(config, "gateway.ring_bytes_max",
                      "must not be larger than gateway.rings_bytes_max", ret_error);
    return 0;
}

int fw_options_check(const fw_config_t *config, fw_config_error_t *ret_error)
{
    int result = check_broker(config, ret_error);
    if (result == 0)
        result = check_worker(config, ret_error);
    if (result == 0)
        result = fw_options_check_audit(config, ret_error);
    if (result == 0)
        result = check_gateway(config, ret_error);
    if (result == 0)
        result = fw_options_check_tokens(config, ret_error);
    if (result == 0)
        result = fw_link_security_check(config, ret_error);
    return result;
}

static bool same_list(const fw_config_t *before, const fw_config_t *after, const char *path)
{
    const char *const *old = NULL;
    const char *const *new = NULL;
    size_t count = fw_config_list(before, path, &old);
    if (fw_config_list(after, path, &new) != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(old[i], new[i]) != 0)
            return false;
    return true;
}

static bool same_value(const fw_config_t *before, const fw_config_t *after,
                       const fw_option_t *option)
{
    const char *path = option->path;
    switch (option->kind) {
    case FW_OPTION_TEXT:
    case FW_OPTION_SECRET:
    case FW_OPTION_CHOICE:
        return strcmp(fw_config_text(before, path), fw_config_text(after, path)) == 0;
    case FW_OPTION_LIST:
    case FW_OPTION_SECRETS:
        return same_list(before, after, path);
    case FW_OPTION_NUMBER:
    case FW_OPTION_DURATION:
    case FW_OPTION_BYTES:
        return fw_config_number(before, path) == fw_config_number(after, path);
    case FW_OPTION_BOOL:
        return fw_config_bool(before, path) == fw_config_bool(after, path);
    }
    return true;
}

void fw_options_compare(const fw_config_t *before, const fw_config_t *after,
                        fw_options_visit_fn *visit, void *context)
{
    size_t count;
    const fw_option_t *options = fw_options(&count);
    for (size_t i = 0; i < count; i++)
        if (!same_value(before, after, &options[i]))
            visit(context, &options[i]);
}
