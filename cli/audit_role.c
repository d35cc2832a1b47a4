/* audit_role.c - see audit_role.h.   SPDX-License-Identifier: MPL-2.0 */
#include "cli/audit_role.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/duration.h"
#include "runtime/log.h"
#include "workers/audit_compare.h"

enum { WORD_SIZE = 32, SCALE_MS_MAX = 24 * 60 * 60 * 1000 };

static const char option[] = "audit.timescales";

static int refuse(const fw_config_t *config, const char *what, fw_config_error_t *ret_error)
{
    (void)snprintf(ret_error->text, sizeof ret_error->text, "%s: %s: %s",
                   fw_config_origin(config, option), option, what);
    return -EINVAL;
}

/* Durations separated by spaces, ascending. */
static int read_scales(const fw_config_t *config, int64_t scales_ms[FW_AUDIT_SCALES_MAX],
                       size_t *ret_count, fw_config_error_t *ret_error)
{
    const char *at = fw_config_text(config, option);
    char word[WORD_SIZE];
    size_t count = 0;
    fw_config_error_t error;
    while (*(at += strspn(at, " "))) {
        size_t size = strcspn(at, " ");
        if (count == FW_AUDIT_SCALES_MAX)
            return refuse(config, "must be at most 8 durations", ret_error);
        (void)snprintf(word, sizeof word, "%.*s", (int)(size < WORD_SIZE ? size : WORD_SIZE), at);
        if (fw_duration_parse("timescale", word, 0, SCALE_MS_MAX, &scales_ms[count], &error) != 0)
            return refuse(config, "must be durations such as 0s 1s 5m, at most 24h", ret_error);
        if (count > 0 && scales_ms[count] <= scales_ms[count - 1])
            return refuse(config, "must ascend", ret_error);
        count++;
        at += size;
    }
    *ret_count = count;
    return count > 0 ? 0 : refuse(config, "must be at least one duration", ret_error);
}

int fw_options_check_audit(const fw_config_t *config, fw_config_error_t *ret_error)
{
    int64_t scales_ms[FW_AUDIT_SCALES_MAX];
    size_t count = 0;
    const char *const *rules = NULL;
    size_t rules_count = fw_config_list(config, "audit.url", &rules);
    fw_config_error_t error;
    if (fw_audit_url_check(rules, rules_count, &error) != 0) {
        (void)snprintf(ret_error->text, sizeof ret_error->text, "%.150s: %.350s",
                       fw_config_origin(config, "audit.url"), error.text);
        return -EINVAL;
    }
    return read_scales(config, scales_ms, &count, ret_error);
}

fw_auditor_config_t fw_options_auditor(const fw_config_t *config, const fw_endpoints_t *connect)
{
    fw_config_error_t error;
    fw_auditor_config_t auditor = {
        .events_endpoint = connect->events,
        .redis_url = fw_config_text(config, "worker.redis_url"),
        .name_space = fw_config_text(config, "worker.namespace"),
        .stamp_ttl_ms = fw_config_number(config, "worker.stamp_ttl"),
        .redis_timeout_ms = fw_config_number(config, "worker.redis_timeout"),
        .rate = (uint32_t)fw_config_number(config, "audit.rate"),
        .samples_max = (uint32_t)fw_config_number(config, "audit.samples_max"),
        .bytes_max = (size_t)fw_config_number(config, "audit.bytes_max"),
        .slack_ms = fw_config_number(config, "audit.slack"),
        .heal = fw_config_bool(config, "audit.heal"),
        .walk_rate = (uint32_t)fw_config_number(config, "audit.walk_rate"),
    };
    auditor.url_rules_count = fw_config_list(config, "audit.url", &auditor.url_rules);
    auditor.url_after_ms = fw_config_number(config, "audit.url_after");
    (void)!read_scales(config, auditor.scales_ms, &auditor.scales_count, &error);
    return auditor;
}

int fw_audit_role_start(const fw_config_t *config, const fw_endpoints_t *connect,
                        const fw_security_t *security, fw_metrics_t *metrics, fw_health_t *health,
                        fw_auditor_t **ret_auditor, fw_config_error_t *ret_error)
{
    fw_auditor_config_t auditor = fw_options_auditor(config, connect);
    auditor.security = security;
    if (strncmp(connect->events, "tcp://", 6) == 0 &&
        fw_config_number(config, "broker.ports.events") == 0) {
        (void)snprintf(ret_error->text, sizeof ret_error->text,
                       "broker.ports.events is 0, which means a free one; the auditor connects and "
                       "needs the real one (--broker-ports-events PORT)");
        return -EINVAL;
    }
    int result = fw_auditor_start(&auditor, metrics, health, ret_auditor);
    if (result != 0)
        (void)snprintf(ret_error->text, sizeof ret_error->text, "cannot start the auditor: %s",
                       fw_log_error_text(result));
    return result;
}
