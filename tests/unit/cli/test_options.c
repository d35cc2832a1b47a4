/* test_options.c - the option table, and what the roles get from it.   SPDX-License-Identifier:
 * MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "cli/address.h"
#include "cli/audit_role.h"
#include "cli/options.h"

/* A configuration of the defaults and some variables. */
static fw_config_t *load(const char *const *variables)
{
    char text[8][256];
    char *environment[9] = {NULL};
    for (size_t i = 0; variables && variables[i]; i++) {
        (void)snprintf(text[i], sizeof text[i], "%s", variables[i]);
        environment[i] = text[i];
    }
    size_t count;
    const fw_option_t *options = fw_options(&count);
    fw_config_t *config = NULL;
    fw_config_error_t error = {.text = ""};
    int result = fw_config_load(options, count, NULL, environment, NULL, NULL, &config, &error);
    if (result != 0) {
        print_error("%s\n", error.text);
    }
    assert_int_equal(result, 0);
    return config;
}

#define LOAD(...) load((const char *const[]){__VA_ARGS__, NULL})

static void assert_refused(const char *variable, const char *path)
{
    fw_config_t *config = LOAD(variable);
    fw_config_error_t error = {.text = ""};
    assert_int_equal(fw_options_check(config, &error), -EINVAL);
    assert_non_null(strstr(error.text, path));
    assert_non_null(strstr(error.text, "FRESHWIRE_"));
    fw_config_destroy(&config);
}

static void refuses_what_no_single_range_can_say(void **state)
{
    (void)state;
    assert_refused("FRESHWIRE_BROKER_BARRIER_FIRST=2s", "broker.barrier_first");
    assert_refused("FRESHWIRE_BROKER_PORTS_PUBLISH=7001", "broker.ports.publish");
    assert_refused("FRESHWIRE_BROKER_BIND=tcp://0.0.0.0", "broker.bind");
    assert_refused("FRESHWIRE_BROKER_HOST=a,b", "broker.host");
    assert_refused("FRESHWIRE_BROKER_HOST=*", "broker.host");
    assert_refused("FRESHWIRE_BROKER_HISTORY_CHANNEL_BYTES_MAX=1GiB",
                   "broker.history_channel_bytes_max");
    assert_refused("FRESHWIRE_WORKER_REDIS_URL=http://cache", "worker.redis_url");
    assert_refused("FRESHWIRE_WORKER_NAMESPACE=a:b", "worker.namespace");
    assert_refused("FRESHWIRE_AUDIT_TIMESCALES=soon", "audit.timescales");
    assert_refused("FRESHWIRE_AUDIT_URL=a*", "audit.url");
    assert_refused("FRESHWIRE_AUDIT_URL=url=http://a", "audit.url");
    assert_refused("FRESHWIRE_AUDIT_URL=* url=file:///etc/passwd", "audit.url");
    assert_refused("FRESHWIRE_AUDIT_TIMESCALES=1s 1s", "audit.timescales");
    assert_refused("FRESHWIRE_AUDIT_TIMESCALES=1 2 3 4 5 6 7 8 9", "audit.timescales");
    assert_refused("FRESHWIRE_GATEWAY_LISTEN=8080", "gateway.listen");
    assert_refused("FRESHWIRE_GATEWAY_LISTEN=host:port", "gateway.listen");
    assert_refused("FRESHWIRE_ADMIN_LISTEN=127.0.0.1:", "admin.listen");
    assert_refused("FRESHWIRE_GATEWAY_PREFIX=api", "gateway.prefix");
    assert_refused("FRESHWIRE_GATEWAY_PREFIX=/api/", "gateway.prefix");
    assert_refused("FRESHWIRE_GATEWAY_RING_BYTES_MAX=1GiB", "gateway.ring_bytes_max");
}

static void never_shows_the_password_of_a_wrong_redis_url(void **state)
{
    (void)state;
    fw_config_t *config = LOAD("FRESHWIRE_WORKER_REDIS_URL=rediss://user:hunter2@cache:port");
    fw_config_error_t error = {.text = ""};
    assert_int_equal(fw_options_check(config, &error), -EINVAL);
    assert_null(strstr(error.text, "hunter2"));
    fw_config_destroy(&config);
}

static void the_defaults_are_valid(void **state)
{
    (void)state;
    fw_config_t *config = load(NULL);
    fw_config_error_t error = {.text = ""};
    assert_int_equal(fw_options_check(config, &error), 0);
    fw_config_destroy(&config);
}

static void the_brokers_defaults_are_the_tables(void **state)
{
    (void)state;
    fw_config_t *config = load(NULL);
    fw_endpoints_t bind;
    fw_options_bind_endpoints(config, FW_ROLE_BROKER, &bind);
    fw_broker_config_t mine = fw_options_broker(config, &bind);
    fw_broker_config_t its = fw_broker_defaults();
    assert_string_equal(mine.fire_endpoints, its.fire_endpoints);
    assert_string_equal(mine.publish_endpoints, its.publish_endpoints);
    assert_string_equal(mine.jobs_endpoints, its.jobs_endpoints);
    assert_string_equal(mine.events_endpoints, its.events_endpoints);
    assert_string_equal(mine.control_endpoints, its.control_endpoints);
    assert_int_equal(mine.credit, its.credit);
    assert_int_equal(mine.barrier_first_ms, its.barrier_first_ms);
    assert_int_equal(mine.barrier_timeout_ms, its.barrier_timeout_ms);
    assert_int_equal(mine.held_max, its.held_max);
    assert_int_equal(mine.beacon_interval_ms, its.beacon_interval_ms);
    assert_int_equal(mine.dedupe_ms, its.dedupe_ms);
    assert_int_equal(mine.dedupe_max, its.dedupe_max);
    assert_int_equal(mine.history_events_max, its.history_events_max);
    assert_int_equal(mine.history_channel_bytes_max, its.history_channel_bytes_max);
    assert_int_equal(mine.history_ms, its.history_ms);
    assert_int_equal(mine.channels_max, its.channels_max);
    assert_int_equal(mine.history_bytes_max, its.history_bytes_max);
    fw_config_destroy(&config);
}

static void the_workers_defaults_are_the_tables(void **state)
{
    (void)state;
    fw_config_t *config = load(NULL);
    fw_endpoints_t connect;
    fw_options_connect_endpoints(config, FW_ROLE_WORKER, &connect);
    fw_workers_config_t mine = fw_options_workers(config, &connect);
    fw_workers_config_t its = fw_workers_defaults();
    assert_string_equal(mine.jobs_endpoint, its.jobs_endpoint);
    assert_string_equal(mine.redis_url, its.redis_url);
    assert_string_equal(mine.name_space, its.name_space);
    assert_int_equal(mine.actors, its.actors);
    assert_int_equal(mine.capacity, its.capacity);
    assert_int_equal(mine.stamp_ttl_ms, its.stamp_ttl_ms);
    assert_int_equal(mine.redis_timeout_ms, its.redis_timeout_ms);
    assert_int_equal(mine.sweep_duty_percent, its.sweep_duty_percent);
    assert_int_equal(mine.sweep_count, its.sweep_count);
    assert_int_equal(mine.sweep_prefix_min, its.sweep_prefix_min);
    assert_int_equal(mine.delay_ms, its.delay_ms);
    fw_config_destroy(&config);
}

static void the_auditors_defaults_are_the_tables(void **state)
{
    (void)state;
    fw_config_t *config = load(NULL);
    fw_endpoints_t connect;
    fw_options_connect_endpoints(config, FW_ROLE_GATEWAY, &connect);
    fw_auditor_config_t mine = fw_options_auditor(config, &connect);
    fw_auditor_config_t its = fw_auditor_defaults();
    assert_string_equal(mine.events_endpoint, its.events_endpoint);
    assert_string_equal(mine.redis_url, its.redis_url);
    assert_string_equal(mine.name_space, its.name_space);
    assert_int_equal(mine.stamp_ttl_ms, its.stamp_ttl_ms);
    assert_int_equal(mine.redis_timeout_ms, its.redis_timeout_ms);
    assert_int_equal(mine.scales_count, its.scales_count);
    for (size_t i = 0; i < its.scales_count; i++)
        assert_int_equal(mine.scales_ms[i], its.scales_ms[i]);
    assert_int_equal(mine.rate, its.rate);
    assert_int_equal(mine.samples_max, its.samples_max);
    assert_int_equal(mine.bytes_max, its.bytes_max);
    assert_int_equal(mine.slack_ms, its.slack_ms);
    assert_int_equal(mine.heal, its.heal);
    assert_int_equal(mine.walk_rate, its.walk_rate);
    assert_int_equal(mine.url_rules_count, its.url_rules_count);
    assert_int_equal(mine.url_after_ms, its.url_after_ms);
    fw_config_destroy(&config);
}

static void the_gateways_defaults_are_the_tables(void **state)
{
    (void)state;
    fw_config_t *config = load(NULL);
    fw_endpoints_t connect;
    fw_options_connect_endpoints(config, FW_ROLE_GATEWAY, &connect);
    fw_gateway_config_t mine = fw_options_gateway(config, FW_ROLE_GATEWAY, &connect);
    fw_gateway_config_t its = fw_gateway_defaults();
    assert_string_equal(mine.listen, its.listen);
    assert_string_equal(mine.prefix, its.prefix);
    assert_string_equal(mine.events_endpoint, its.events_endpoint);
    assert_string_equal(mine.control_endpoint, its.control_endpoint);
    assert_string_equal(mine.publish_endpoint, its.publish_endpoint);
    assert_string_equal(mine.tokens.secret, its.tokens.secret);
    assert_string_equal(mine.tokens.previous_secret, its.tokens.previous_secret);
    assert_int_equal(mine.tokens.keys_count, its.tokens.keys_count);
    assert_int_equal(mine.tokens.audiences_count, its.tokens.audiences_count);
    assert_int_equal(mine.tokens.issuers_count, its.tokens.issuers_count);
    assert_int_equal(mine.tokens.leeway_ms, its.tokens.leeway_ms);
    assert_int_equal(mine.tokens.grace_ms, its.tokens.grace_ms);
    assert_string_equal(mine.tokens.cookie, its.tokens.cookie);
    assert_string_equal(mine.tokens.jwks_url, its.tokens.jwks_url);
    assert_string_equal(mine.tokens.jwks_ca_file, its.tokens.jwks_ca_file);
    assert_int_equal(mine.tokens.jwks_refresh_ms, its.tokens.jwks_refresh_ms);
    assert_int_equal(mine.tokens.jwks_cooldown_ms, its.tokens.jwks_cooldown_ms);
    assert_int_equal(mine.tokens.jwks_keep_ms, its.tokens.jwks_keep_ms);
    assert_int_equal(mine.tokens.jwks_timeout_ms, its.tokens.jwks_timeout_ms);
    assert_int_equal(mine.shards, its.shards);
    assert_int_equal(mine.publish_keys_count, its.publish_keys_count);
    assert_int_equal(mine.origins_count, its.origins_count);
    assert_int_equal(mine.anonymous, its.anonymous);
    assert_int_equal(mine.sessions_max, its.sessions_max);
    assert_int_equal(mine.channels_per_session_max, its.channels_per_session_max);
    assert_int_equal(mine.message_bytes_max, its.message_bytes_max);
    assert_int_equal(mine.ring_events_max, its.ring_events_max);
    assert_int_equal(mine.ring_bytes_max, its.ring_bytes_max);
    assert_int_equal(mine.rings_bytes_max, its.rings_bytes_max);
    assert_int_equal(mine.linger_ms, its.linger_ms);
    assert_int_equal(mine.hello_ms, its.hello_ms);
    assert_int_equal(mine.ping_ms, its.ping_ms);
    assert_int_equal(mine.pong_ms, its.pong_ms);
    assert_int_equal(mine.drain_delay_ms, its.drain_delay_ms);
    assert_int_equal(mine.drain_window_ms, its.drain_window_ms);
    assert_int_equal(mine.reconnect_window_ms, its.reconnect_window_ms);
    fw_config_destroy(&config);
}

static void all_roles_meet_inside_the_process_and_services_outside(void **state)
{
    (void)state;
    fw_config_t *config = LOAD("FRESHWIRE_BROKER_PORTS_FIRE=0", "FRESHWIRE_BROKER_BIND=::1");
    fw_endpoints_t endpoints;
    fw_options_bind_endpoints(config, FW_ROLE_ALL, &endpoints);
    assert_string_equal(endpoints.fire, "inproc://freshwire-fire,tcp://[::1]:*");
    assert_string_equal(endpoints.publish, "inproc://freshwire-publish,tcp://[::1]:7002");
    fw_options_connect_endpoints(config, FW_ROLE_ALL, &endpoints);
    assert_string_equal(endpoints.jobs, "inproc://freshwire-jobs");
    assert_string_equal(endpoints.control, "inproc://freshwire-control");
    fw_config_destroy(&config);
}

static void roles_of_their_own_connect_to_the_brokers_host(void **state)
{
    (void)state;
    fw_config_t *config =
        LOAD("FRESHWIRE_BROKER_HOST=broker.internal", "FRESHWIRE_BROKER_PORTS_EVENTS=9");
    fw_endpoints_t endpoints;
    fw_options_connect_endpoints(config, FW_ROLE_GATEWAY, &endpoints);
    assert_string_equal(endpoints.events, "tcp://broker.internal:9");
    assert_string_equal(endpoints.control, "tcp://broker.internal:7005");
    fw_config_destroy(&config);
}

static void only_all_in_one_drains_at_once_and_only_by_default(void **state)
{
    (void)state;
    fw_endpoints_t connect = {.fire = ""};
    fw_config_t *config = load(NULL);
    assert_int_equal(fw_options_gateway(config, FW_ROLE_ALL, &connect).drain_delay_ms, 0);
    assert_int_equal(fw_options_gateway(config, FW_ROLE_ALL, &connect).drain_window_ms, 0);
    assert_true(fw_options_gateway(config, FW_ROLE_GATEWAY, &connect).drain_delay_ms > 0);
    fw_config_destroy(&config);
    config = LOAD("FRESHWIRE_GATEWAY_DRAIN_WINDOW=7s");
    assert_int_equal(fw_options_gateway(config, FW_ROLE_ALL, &connect).drain_window_ms, 7000);
    fw_config_destroy(&config);
}

static void count_change(void *context, const fw_option_t *option)
{
    size_t *count = context;
    ++*count;
    assert_true(strcmp(option->path, "log.level") == 0 ||
                strcmp(option->path, "gateway.publish_keys") == 0 ||
                strcmp(option->path, "gateway.jwt.secret") == 0 ||
                strcmp(option->path, "gateway.anonymous") == 0);
}

static void finds_every_changed_option(void **state)
{
    (void)state;
    size_t count = 0;
    fw_config_t *before = LOAD("FRESHWIRE_GATEWAY_PUBLISH_KEYS=a,b");
    fw_config_t *after =
        LOAD("FRESHWIRE_GATEWAY_PUBLISH_KEYS=a,c", "FRESHWIRE_LOG_LEVEL=debug",
             "FRESHWIRE_GATEWAY_JWT_SECRET=secret", "FRESHWIRE_GATEWAY_ANONYMOUS=false");
    fw_options_compare(before, before, count_change, &count);
    assert_int_equal(count, 0);
    fw_options_compare(before, after, count_change, &count);
    assert_int_equal(count, 4);
    fw_config_destroy(&before);
    fw_config_destroy(&after);
}

static void shows_addresses_under_which_this_machine_is_reached(void **state)
{
    (void)state;
    char url[FW_URL_SIZE_MAX];
    fw_address_url("http", "0.0.0.0:0", 8080, url);
    assert_string_equal(url, "http://127.0.0.1:8080");
    fw_address_url("http", ":8080", 8080, url);
    assert_string_equal(url, "http://127.0.0.1:8080");
    fw_address_url("ws", "192.0.2.7:0", 1, url);
    assert_string_equal(url, "ws://192.0.2.7:1");
    fw_address_endpoint("tcp://[::]:7001", url);
    assert_string_equal(url, "tcp://127.0.0.1:7001");
    fw_address_endpoint("inproc://x", url);
    assert_string_equal(url, "inproc://x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_no_single_range_can_say),
        cmocka_unit_test(never_shows_the_password_of_a_wrong_redis_url),
        cmocka_unit_test(the_defaults_are_valid),
        cmocka_unit_test(the_brokers_defaults_are_the_tables),
        cmocka_unit_test(the_workers_defaults_are_the_tables),
        cmocka_unit_test(the_auditors_defaults_are_the_tables),
        cmocka_unit_test(the_gateways_defaults_are_the_tables),
        cmocka_unit_test(all_roles_meet_inside_the_process_and_services_outside),
        cmocka_unit_test(roles_of_their_own_connect_to_the_brokers_host),
        cmocka_unit_test(only_all_in_one_drains_at_once_and_only_by_default),
        cmocka_unit_test(finds_every_changed_option),
        cmocka_unit_test(shows_addresses_under_which_this_machine_is_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
