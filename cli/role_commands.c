/* role_commands.c - broker, worker, gateway and all.   SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <czmq.h>

#include "cli/command.h"
#include "cli/load.h"
#include "cli/options_tokens.h"
#include "cli/ports_file.h"
#include "cli/roles.h"
#include "cli/start_log.h"
#include "runtime/actor.h"
#include "runtime/log.h"
#include "runtime/signals.h"

enum {
    FILES_MAX = 65536,
    HURRY_POLL_MS = 50,
};

/* A gateway fits the limit of descriptors to its sessions itself. Without one: a descriptor a peer,
 * and a listening socket that runs out of them would spin. */
static void raise_file_limit(fw_roles_t roles)
{
    struct rlimit limit;
    if ((roles & FW_ROLE_GATEWAY) || getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
        limit.rlim_cur >= FILES_MAX) {
        return;
    }
    limit.rlim_cur = limit.rlim_max < FILES_MAX ? limit.rlim_max : FILES_MAX;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        fw_log(FW_LOG_WARN, "the limit of open files cannot be raised, ignoring",
               FW_KV_ERROR(-errno));
    }
}

static void log_open_doors(const fw_config_t *config, fw_roles_t roles)
{
    if (!(roles & FW_ROLE_GATEWAY))
        return;
    const char *const *keys = NULL;
    if (!fw_options_has_keys(config)) {
        fw_log(FW_LOG_INFO, "only anonymous sessions: to accept tokens, set gateway.jwt.secret or "
                            "FRESHWIRE_GATEWAY_JWT_SECRET to a secret of 32 bytes or more, or "
                            "gateway.jwt.keys or gateway.jwt.jwks_url; then see 'freshwire help "
                            "token'");
    }
    if (fw_config_list(config, "gateway.publish_keys", &keys) == 0) {
        fw_log(FW_LOG_INFO,
               "POST /v1/events is refused: to publish over HTTP, set gateway.publish_keys or "
               "FRESHWIRE_GATEWAY_PUBLISH_KEYS");
    }
}

/* One line for people: where to go. */
static void print_ready(const fw_addresses_t *addresses, const char *prefix)
{
    const char *separator = ": ";
    (void)fputs("freshwire is ready", stdout);
    if (*addresses->gateway) {
        (void)printf("%sbrowsers ws%s%s/ws, events POST %s%s/v1/events", separator,
                     addresses->gateway + strlen("http"), prefix, addresses->gateway, prefix);
        separator = ", ";
    }
    if (*addresses->publish) {
        (void)printf("%sservices %s", separator, addresses->publish);
        separator = ", ";
    }
    if (*addresses->admin)
        (void)printf("%sadmin %s", separator, addresses->admin);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
}

static void log_restart_needed(void *process, const fw_option_t *option)
{
    if (strcmp(option->path, "log.level") != 0 && !fw_process_reloads(process, option->path))
        fw_log(FW_LOG_WARN, "a changed option takes effect at the next start only",
               FW_KV_TEXT("option", option->path));
}

/* Compares with the start, not with the last reload: what needs a restart is said again until it
 * happened. */
static void reload(const fw_call_t *call, fw_process_t *process)
{
    fw_loaded_t loaded;
    fw_config_error_t error;
    if (fw_load(call->command, call->argc, call->argv, &loaded, &error) != FW_EXIT_OK) {
        fw_log(FW_LOG_ERROR, "the new configuration is wrong, keeping the old one",
               FW_KV_TEXT("reason", error.text));
        return;
    }
    if (fw_process_reload(process, loaded.config, &error) != 0) {
        fw_log(FW_LOG_ERROR, "the new configuration is wrong, keeping the old one",
               FW_KV_TEXT("reason", error.text));
        fw_unload(&loaded);
        return;
    }
    fw_log_level_t level;
    if (fw_log_level_parse(fw_config_text(loaded.config, "log.level"), &level) == 0)
        fw_log_set_level(level);
    fw_options_compare(call->config, loaded.config, log_restart_needed, process);
    fw_log(FW_LOG_INFO, "configuration reloaded",
           FW_KV_TEXT("level", fw_config_text(loaded.config, "log.level")));
    fw_unload(&loaded);
}

/* Waits for a second signal while main drains. The process outlives this thread. */
static void watch_for_hurry(zsock_t *pipe, void *args)
{
    fw_process_t *process = args;
    fw_actor_ready(pipe, 0);
    while (fw_actor_receive(pipe) != FW_CONTROL_STOP) {
        fw_signal_t signal;
        if (fw_signals_wait_for(HURRY_POLL_MS, &signal) != 0 || signal != FW_SIGNAL_STOP)
            continue;
        fw_log(FW_LOG_WARN, "second signal: ending the drain");
        fw_process_hurry(process);
    }
}

static void stop(fw_process_t **process_p)
{
    fw_log(FW_LOG_INFO, "stopping; a second signal ends the drain at once");
    fw_actor_t *watch = NULL;
    if (fw_actor_start("hurry", watch_for_hurry, *process_p, &watch) != 0)
        fw_log(FW_LOG_WARN, "a second signal will not be noticed");
    fw_process_drain(*process_p);
    fw_actor_stop(&watch);
    fw_process_stop(process_p);
}

static fw_exit_t announce(const fw_call_t *call, const fw_process_t *process)
{
    fw_addresses_t addresses;
    fw_process_addresses(process, &addresses);
    const char *path = fw_arguments_text(call->arguments, "ports-file");
    int result = path ? fw_ports_file_write(path, &addresses) : 0;
    if (result != 0) {
        fw_complain("the folder must exist and be writable", "cannot write %s: %s", path,
                    fw_log_error_text(result));
        return FW_EXIT_FAILURE;
    }
    print_ready(&addresses, fw_config_text(call->config, "gateway.prefix"));
    return FW_EXIT_OK;
}

static fw_exit_t run_roles(const fw_call_t *call, fw_roles_t roles)
{
    fw_signals_block();
    fw_start_log(call->config);
    raise_file_limit(roles);
    log_open_doors(call->config, roles);
    fw_process_t *process = NULL;
    fw_config_error_t error;
    int started = fw_process_start(call->config, roles, &process, &error);
    if (started != 0) {
        fw_complain(NULL, "%s", error.text);
        return started == -EINVAL ? FW_EXIT_CONFIG : FW_EXIT_FAILURE;
    }
    fw_exit_t result = announce(call, process);
    while (result == FW_EXIT_OK && fw_signals_wait() == FW_SIGNAL_RELOAD)
        reload(call, process);
    stop(&process);
    fw_log(FW_LOG_INFO, "stopped");
    zsys_shutdown();
    return result;
}

fw_exit_t fw_broker_command(const fw_call_t *call)
{
    return run_roles(call, FW_ROLE_BROKER);
}

fw_exit_t fw_worker_command(const fw_call_t *call)
{
    return run_roles(call, FW_ROLE_WORKER);
}

fw_exit_t fw_gateway_command(const fw_call_t *call)
{
    return run_roles(call, FW_ROLE_GATEWAY);
}

fw_exit_t fw_all_command(const fw_call_t *call)
{
    return run_roles(call, FW_ROLE_ALL);
}
