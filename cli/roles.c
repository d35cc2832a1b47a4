/* roles.c - the roles that run in this process, started and stopped in order.
 * SPDX-License-Identifier: MPL-2.0 */
#include "cli/roles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/address.h"
#include "cli/audit_role.h"
#include "cli/link_security.h"
#include "runtime/alloc.h"
#include "runtime/link_metrics.h"
#include "runtime/log.h"
#include "runtime/zap.h"

/* Between the admin port and the gateway of this process. */
#define FW_SESSIONS_ENDPOINT "inproc://freshwire-sessions"

struct fw_process {
    const fw_config_t *config;
    fw_roles_t roles;
    fw_endpoints_t bind, connect;
    fw_metrics_t *metrics;
    fw_health_t *health;
    fw_admin_t *admin;
    fw_security_t *security; /* NULL = links without keys */
    fw_zap_t *zap;
    fw_broker_t *broker;
    fw_workers_t *workers;
    fw_auditor_t *auditor;
    fw_gateway_t *gateway;
};

static int fail(fw_config_error_t *ret_error, int result, const char *what, const char *where,
                const char *hint)
{
    const char *why = result == -EADDRINUSE ? "the address is in use" : fw_log_error_text(result);
    (void)snprintf(ret_error->text, sizeof ret_error->text, "cannot start %s on %s: %s%s%s", what,
                   where, why, *hint ? "; " : "", hint);
    return result;
}

/* Tries to listen there for a moment. option: the flag that changes it. */
static int check_door(const char *what, const char *listen, const char *option,
                      fw_config_error_t *ret_error)
{
    int result = fw_address_check(listen);
    /* -EINVAL: a name or an interface, which only its owner can resolve. */
    if (result == 0 || result == -EINVAL) {
        return 0;
    }
    char advice[160];
    (void)snprintf(advice, sizeof advice, "stop what listens there, or choose another one with %s",
                   option);
    return fail(ret_error, result, what, listen, advice);
}

static int check_broker_doors(const fw_process_t *self, fw_config_error_t *ret_error)
{
    static const char *const options[] = {"--broker-ports-fire PORT", "--broker-ports-publish PORT",
                                          "--broker-ports-jobs PORT", "--broker-ports-events PORT",
                                          "--broker-ports-control PORT"};
    const char *const endpoints[] = {self->bind.fire, self->bind.publish, self->bind.jobs,
                                     self->bind.events, self->bind.control};
    int result = 0;
    for (size_t i = 0; result == 0 && i < sizeof options / sizeof *options; i++) {
        const char *address = strstr(endpoints[i], "tcp://") + strlen("tcp://");
        bool any_port = address[strlen(address) - 1] == '*';
        if (!any_port) {
            result = check_door("the broker", address, options[i], ret_error);
        }
    }
    return result;
}

/* Every door is tried before the first actor starts: so the message can name the option, and a
 * gateway is not started on a port that another process would share with it. */
static int check_doors(const fw_process_t *self, fw_config_error_t *ret_error)
{
    const char *admin = fw_config_text(self->config, "admin.listen");
    int result = 0;
    if (*admin) {
        result = check_door("the admin port", admin, "--admin-listen ADDRESS:PORT", ret_error);
    }
    if (result == 0 && (self->roles & FW_ROLE_BROKER)) {
        result = check_broker_doors(self, ret_error);
    }
    if (result == 0 && (self->roles & FW_ROLE_GATEWAY)) {
        result = check_door("the gateway", fw_config_text(self->config, "gateway.listen"),
                            "--gateway-listen ADDRESS:PORT", ret_error);
    }
    return result;
}

/* A role that connects needs to know where to; port 0 says so to the broker only. */
static int check_links(const fw_process_t *self, fw_config_error_t *ret_error)
{
    if (self->roles & FW_ROLE_BROKER)
        return 0;
    bool worker =
        (self->roles & FW_ROLE_WORKER) && fw_config_number(self->config, "broker.ports.jobs") == 0;
    bool gateway = (self->roles & FW_ROLE_GATEWAY) &&
                   (fw_config_number(self->config, "broker.ports.events") == 0 ||
                    fw_config_number(self->config, "broker.ports.control") == 0 ||
                    fw_config_number(self->config, "broker.ports.publish") == 0);
    if (!worker && !gateway)
        return 0;
    (void)snprintf(ret_error->text, sizeof ret_error->text,
                   "a broker port is 0, which means a free one; this role connects and needs the "
                   "real one: set "
                   "broker.ports (--broker-ports-%s PORT …)",
                   worker ? "jobs" : "events");
    return -EINVAL;
}

static int start_admin(fw_process_t *self, fw_config_error_t *ret_error)
{
    const char *listen = fw_config_text(self->config, "admin.listen");
    if (!*listen)
        return 0;
    fw_admin_options_t options = {.routes_count = 0};
    options.keys_count = fw_config_list(self->config, "admin.keys", &options.keys);
    if (self->roles & FW_ROLE_GATEWAY)
        options.routes[options.routes_count++] =
            (fw_admin_route_t){"/v1/sessions", FW_SESSIONS_ENDPOINT};
    int result = fw_admin_start_with(listen, &options, self->metrics, self->health, &self->admin);
    return result == 0 ? 0 : fail(ret_error, result, "the admin port", listen, "see admin.listen");
}

/* Before any socket is bound: without it nobody would get in. */
static int start_zap(fw_process_t *self, fw_config_error_t *ret_error)
{
    const char *const *peers = NULL;
    if (!(self->roles & FW_ROLE_BROKER))
        return 0;
    (void)fw_link_metrics_make(self->metrics);
    if (!self->security)
        return 0;
    if (fw_config_list(self->config, "security.peers", &peers) == 0)
        fw_log(FW_LOG_WARN, "security.peers is empty: nobody can connect to the broker; 'freshwire "
                            "keys' makes keys");
    int result = fw_zap_start(self->security, self->metrics, self->health, &self->zap);
    return result == 0 ? 0
                       : fail(ret_error, result, "the key handler", "inproc://zeromq.zap.01", "");
}

static int start_broker(fw_process_t *self, fw_config_error_t *ret_error)
{
    if (!(self->roles & FW_ROLE_BROKER))
        return 0;
    fw_broker_config_t broker = fw_options_broker(self->config, &self->bind);
    broker.security = self->security;
    int result = fw_broker_start(&broker, self->metrics, self->health, &self->broker);
    return result == 0
               ? 0
               : fail(ret_error, result, "the broker", fw_config_text(self->config, "broker.bind"),
                      "see broker.bind and broker.ports");
}

static int start_workers(fw_process_t *self, fw_config_error_t *ret_error)
{
    if (!(self->roles & FW_ROLE_WORKER))
        return 0;
    fw_workers_config_t workers = fw_options_workers(self->config, &self->connect);
    workers.security = self->security;
    int result = fw_workers_start(&workers, self->metrics, self->health, &self->workers);
    return result == 0 ? 0
                       : fail(ret_error, result, "the workers", workers.jobs_endpoint,
                              "see broker.host, broker.ports and worker.redis_url");
}

static int start_auditor(fw_process_t *self, fw_config_error_t *ret_error)
{
    if (!(self->roles & FW_ROLE_WORKER) || !fw_config_bool(self->config, "audit.enabled"))
        return 0;
    return fw_audit_role_start(self->config, &self->connect, self->security, self->metrics,
                               self->health, &self->auditor, ret_error);
}

static fw_gateway_config_t gateway_config(const fw_process_t *self, const fw_config_t *config)
{
    fw_gateway_config_t gateway = fw_options_gateway(config, self->roles, &self->connect);
    gateway.security = self->security;
    gateway.admin_endpoint = self->admin ? FW_SESSIONS_ENDPOINT : "";
    return gateway;
}

static int start_gateway(fw_process_t *self, fw_config_error_t *ret_error)
{
    if (!(self->roles & FW_ROLE_GATEWAY))
        return 0;
    fw_gateway_config_t gateway = gateway_config(self, self->config);
    int result = fw_gateway_start(&gateway, self->metrics, self->health, &self->gateway);
    return result == 0
               ? 0
               : fail(ret_error, result, "the gateway", gateway.listen, "see gateway.listen");
}

int fw_process_start(const fw_config_t *config, fw_roles_t roles, fw_process_t **ret_process,
                     fw_config_error_t *ret_error)
{
    fw_process_t *self = fw_alloc(1, sizeof *self);
    self->config = config;
    self->roles = roles;
    self->metrics = fw_metrics_new();
    self->health = fw_health_new();
    fw_gauge_set(fw_metrics_gauge(self->metrics, "freshwire_build_info",
                                  "Always 1; the labels tell the version.",
                                  "version=\"" FW_VERSION "\""),
                 1);
    fw_options_bind_endpoints(config, roles, &self->bind);
    fw_options_connect_endpoints(config, roles, &self->connect);
    int result = check_links(self, ret_error);
    if (result == 0)
        result = fw_link_security_make(config, roles, &self->security, ret_error);
    if (result == 0)
        result = check_doors(self, ret_error);
    if (result == 0)
        result = start_admin(self, ret_error);
    if (result == 0)
        result = start_zap(self, ret_error);
    if (result == 0)
        result = start_broker(self, ret_error);
    if (result == 0)
        result = start_workers(self, ret_error);
    if (result == 0)
        result = start_auditor(self, ret_error);
    if (result == 0)
        result = start_gateway(self, ret_error);
    if (result != 0) {
        if (self->gateway)
            fw_gateway_abort(self->gateway);
        fw_process_stop(&self);
        return result;
    }
    *ret_process = self;
    return 0;
}

void fw_process_addresses(const fw_process_t *self, fw_addresses_t *ret_addresses)
{
    *ret_addresses = (fw_addresses_t){.gateway = ""};
    if (self->admin)
        fw_address_url("http", fw_config_text(self->config, "admin.listen"),
                       fw_admin_port(self->admin), ret_addresses->admin);
    if (self->gateway)
        fw_address_url(*fw_config_text(self->config, "gateway.tls.certificate") ? "https" : "http",
                       fw_config_text(self->config, "gateway.listen"),
                       fw_gateway_port(self->gateway), ret_addresses->gateway);
    if (!self->broker)
        return;
    fw_broker_endpoints_t endpoints;
    fw_broker_endpoints(self->broker, &endpoints);
    fw_address_endpoint(endpoints.fire, ret_addresses->fire);
    fw_address_endpoint(endpoints.publish, ret_addresses->publish);
    fw_address_endpoint(endpoints.jobs, ret_addresses->jobs);
    fw_address_endpoint(endpoints.events, ret_addresses->events);
    fw_address_endpoint(endpoints.control, ret_addresses->control);
}

/* Of the gateway's. What begins with one of these names is read anew. */
static const char *const reloaded[] = {
    "gateway.jwt.secret",
    "gateway.jwt.previous_secret",
    "gateway.jwt.keys",
    "gateway.jwt.audiences",
    "gateway.jwt.issuers",
    "gateway.jwt.leeway",
    "gateway.jwt.grace",
    "gateway.jwt.cookie",
    "gateway.publish_keys",
    "gateway.origins",
    "gateway.anonymous",
    "gateway.channels_per_session_max",
    "gateway.message_bytes_max",
    "gateway.control_bytes_max",
    "gateway.hello_timeout",
    "gateway.ping_interval",
    "gateway.pong_timeout",
    "gateway.drain_delay",
    "gateway.drain_window",
    "gateway.reconnect_window",
    "gateway.reconnects_per_second",
    "gateway.connection_age_max",
    "gateway.accepts_per_second",
    "gateway.half_open_max",
    "gateway.sessions_per_user_max",
    "gateway.sessions_per_address_max",
    "gateway.request_timeout",
    "gateway.body_timeout",
    "gateway.client_publish.",
};

bool fw_process_reloads(const fw_process_t *self, const char *path)
{
    if (self->zap && strcmp(path, "security.peers") == 0)
        return true;
    for (size_t i = 0; self->gateway && i < sizeof reloaded / sizeof *reloaded; i++) {
        size_t size = strlen(reloaded[i]);
        if (strncmp(path, reloaded[i], size) == 0 &&
            (path[size] == 0 || reloaded[i][size - 1] == '.'))
            return true;
    }
    return false;
}

static int reload_gateway(fw_process_t *self, const fw_config_t *config,
                          fw_config_error_t *ret_error)
{
    if (!self->gateway)
        return 0;
    fw_gateway_config_t gateway = gateway_config(self, config);
    int result = fw_gateway_reload(self->gateway, &gateway);
    if (result != 0)
        (void)snprintf(ret_error->text, sizeof ret_error->text,
                       "the gateway refuses it (%s); the line before says why",
                       fw_log_error_text(result));
    return result;
}

int fw_process_reload(fw_process_t *self, const fw_config_t *config, fw_config_error_t *ret_error)
{
    int result = reload_gateway(self, config, ret_error);
    if (result == 0 && self->zap)
        result = fw_link_security_reload(config, self->security, ret_error);
    return result;
}

void fw_process_drain(fw_process_t *self)
{
    fw_health_set_draining(self->health);
    if (self->gateway)
        fw_gateway_drain(self->gateway);
}

void fw_process_hurry(fw_process_t *self)
{
    if (self->gateway)
        fw_gateway_abort(self->gateway);
}

void fw_process_stop(fw_process_t **self_p)
{
    fw_process_t *self = *self_p;
    if (!self)
        return;
    fw_health_set_draining(self->health);
    fw_gateway_stop(&self->gateway);
    fw_auditor_stop(&self->auditor);
    /* The broker before its workers: at its end they close the cache for it. */
    fw_broker_stop(&self->broker);
    fw_workers_stop(&self->workers);
    fw_zap_stop(&self->zap);
    fw_security_destroy(&self->security);
    fw_admin_stop(&self->admin);
    fw_health_destroy(&self->health);
    fw_metrics_destroy(&self->metrics);
    free(self);
    *self_p = NULL;
}
