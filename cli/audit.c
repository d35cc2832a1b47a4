/* audit.c - freshwire audit: is anybody served what was purged?   SPDX-License-Identifier: MPL-2.0
 */
#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/audit_report.h"
#include "cli/audit_role.h"
#include "cli/command.h"
#include "cli/duration.h"
#include "cli/link_security.h"
#include "cli/start_log.h"
#include "runtime/admin.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/signals.h"

enum {
    TURN_MS = 200,
    TABLE_MS = 1000,
    LINE_MS = 10000,
    FIRST_ANSWER_MS = 10000, /* with --once */
    FOR_MS_MAX = 30 * 24 * 3600,
};

typedef struct {
    const fw_call_t *call;
    fw_auditor_config_t config;
    fw_endpoints_t connect;
    fw_metrics_t *metrics;
    fw_health_t *health;
    fw_admin_t *admin;
    fw_security_t *security;
    fw_auditor_t *auditor;
    fw_audit_metrics_t series;
    bool json, table;
    int64_t once;   /* samples; INT64_MAX = no end */
    int64_t for_ms; /* INT64_MAX = no end */
    bool heard;     /* broker and Redis were there at least once */
    int shown;      /* lines of the table on the terminal */
    bool ready;
    uint64_t stale;
} audit_t;

static void show(audit_t *self, const fw_audit_report_t *report)
{
    if (self->json) {
        fw_audit_report_json(report, stdout);
    } else if (self->table) {
        /* Below what was logged meanwhile, else in place. */
        uint64_t stale = fw_audit_report_stale(report);
        bool ready = fw_health_ready(self->health, fw_clock_ms());
        if (self->shown > 0 && stale == self->stale && (ready == self->ready || !self->auditor))
            (void)fprintf(stdout, "\033[%dA", self->shown);
        self->stale = stale;
        self->ready = ready;
        self->shown = fw_audit_report_table(report, stdout);
    } else {
        fw_audit_report_line(report, stdout);
    }
    (void)fflush(stdout);
}

static fw_exit_t follow(audit_t *self)
{
    int64_t started_ms = fw_clock_ms();
    int64_t every_ms = self->table ? TABLE_MS : LINE_MS;
    int64_t shown_ms = started_ms;
    fw_signal_t signal = FW_SIGNAL_RELOAD;
    while (fw_signals_wait_for(TURN_MS, &signal) != 0 || signal != FW_SIGNAL_STOP) {
        int64_t now_ms = fw_clock_ms();
        fw_audit_report_t report = fw_audit_report(&self->series, self->config.scales_ms);
        self->heard |= fw_health_ready(self->health, now_ms);
        int64_t passed_ms = now_ms - started_ms;
        bool over = passed_ms >= self->for_ms;
        if (!self->heard && (over || (self->once < INT64_MAX && passed_ms >= FIRST_ANSWER_MS))) {
            fw_complain("see broker.host, broker.ports, worker.redis_url, and with keys security",
                        "no broker at %s, or no Redis, answers", self->connect.events);
            return FW_EXIT_UNREACHABLE;
        }
        if (over || fw_audit_report_finished(&report) >= (uint64_t)self->once || ferror(stdout))
            break;
        if (now_ms - shown_ms >= every_ms) {
            shown_ms = now_ms;
            show(self, &report);
        }
    }
    return FW_EXIT_OK;
}

/* A command beside running roles would find the default admin port taken. */
static int start_admin(audit_t *self, fw_config_error_t *ret_error)
{
    const char *listen = fw_config_text(self->call->config, "admin.listen");
    if (!*listen || strcmp(fw_config_origin(self->call->config, "admin.listen"), "default") == 0)
        return 0;
    int result = fw_admin_start(listen, self->metrics, self->health, &self->admin);
    if (result != 0)
        (void)snprintf(ret_error->text, sizeof ret_error->text,
                       "cannot start the admin port on %s: %s; see admin.listen", listen,
                       fw_log_error_text(result));
    return result;
}

static int start(audit_t *self, fw_config_error_t *ret_error)
{
    const fw_config_t *config = self->call->config;
    fw_options_connect_endpoints(config, FW_ROLE_GATEWAY, &self->connect);
    self->config = fw_options_auditor(config, &self->connect);
    self->metrics = fw_metrics_new();
    self->health = fw_health_new();
    int result = fw_link_security_make(config, FW_ROLE_GATEWAY, &self->security, ret_error);
    if (result == 0)
        result = start_admin(self, ret_error);
    if (result == 0)
        result = fw_audit_role_start(config, &self->connect, self->security, self->metrics,
                                     self->health, &self->auditor, ret_error);
    if (result == 0)
        self->series =
            fw_audit_metrics_make(self->metrics, self->config.scales_ms, self->config.scales_count);
    return result;
}

static void stop(audit_t *self)
{
    fw_auditor_stop(&self->auditor);
    fw_admin_stop(&self->admin);
    fw_security_destroy(&self->security);
}

static bool read_arguments(audit_t *self)
{
    const fw_arguments_t *arguments = self->call->arguments;
    const char *once = fw_arguments_text(arguments, "once");
    const char *length = fw_arguments_text(arguments, "for");
    fw_config_error_t error;
    self->once = self->for_ms = INT64_MAX;
    self->json = fw_arguments_flag(arguments, "json");
    self->table = !self->json && isatty(STDOUT_FILENO);
    if ((once && fw_number_parse("once", once, 1, INT64_MAX, &self->once, &error) != 0) ||
        (length && fw_duration_parse("for", length, 1, FOR_MS_MAX * INT64_C(1000), &self->for_ms,
                                     &error) != 0)) {
        fw_complain(NULL, "%s", error.text);
        return false;
    }
    return true;
}

fw_exit_t fw_audit_command(const fw_call_t *call)
{
    audit_t self = {.call = call};
    fw_config_error_t error;
    if (!read_arguments(&self))
        return FW_EXIT_USAGE;
    fw_signals_block();
    fw_start_log(call->config);
    if (self.table && strcmp(fw_config_origin(call->config, "log.level"), "default") == 0)
        fw_log_set_level(FW_LOG_WARN);
    int started = start(&self, &error);
    fw_exit_t result = FW_EXIT_OK;
    if (started == 0) {
        result = follow(&self);
    } else {
        fw_complain(NULL, "%s", error.text);
        result = started == -EINVAL ? FW_EXIT_CONFIG : FW_EXIT_FAILURE;
    }
    /* What it has counted is complete when it has stopped. */
    stop(&self);
    if (started == 0 && result == FW_EXIT_OK) {
        fw_audit_report_t report = fw_audit_report(&self.series, self.config.scales_ms);
        show(&self, &report);
        if (fw_audit_report_stale(&report) > 0)
            result = FW_EXIT_FAILURE;
    }
    fw_health_destroy(&self.health);
    fw_metrics_destroy(&self.metrics);
    zsys_shutdown();
    return result;
}
