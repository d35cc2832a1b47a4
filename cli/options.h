/* options.h - every option of every role, and what the roles are given.   SPDX-License-Identifier:
 * MPL-2.0 One table is the file's keys, the environment, the flags, the defaults and the
 * documentation. */
#pragma once

#include "broker/broker.h"
#include "gateway/gateway.h"
#include "runtime/config.h"
#include "workers/workers.h"

const fw_option_t *fw_options(size_t *ret_count);

/* Which roles run in this process. */
typedef enum {
    FW_ROLE_BROKER = 1,
    FW_ROLE_WORKER = 2,
    FW_ROLE_GATEWAY = 4,
    FW_ROLE_ALL = 7,
} fw_roles_t;

enum { FW_ENDPOINT_SIZE_MAX = 300 };

/* The endpoints of the broker's five sockets, as text. */
typedef struct {
    char fire[FW_ENDPOINT_SIZE_MAX];
    char publish[FW_ENDPOINT_SIZE_MAX];
    char jobs[FW_ENDPOINT_SIZE_MAX];
    char events[FW_ENDPOINT_SIZE_MAX];
    char control[FW_ENDPOINT_SIZE_MAX];
} fw_endpoints_t;

/* What the broker binds: broker.bind and broker.ports (port 0 = a free one), and inproc:// when all
 * roles are here. */
void fw_options_bind_endpoints(const fw_config_t *config, fw_roles_t roles,
                               fw_endpoints_t *ret_endpoints);
/* What everybody else connects to: broker.host and broker.ports, or inproc:// when all roles are
 * here. */
void fw_options_connect_endpoints(const fw_config_t *config, fw_roles_t roles,
                                  fw_endpoints_t *ret_endpoints);

/* The roles' own configurations; their texts are borrowed from config and endpoints. */
fw_broker_config_t fw_options_broker(const fw_config_t *config, const fw_endpoints_t *bind);
fw_workers_config_t fw_options_workers(const fw_config_t *config, const fw_endpoints_t *connect);
/* Alone on a developer's machine (all roles, drain not configured) there is no load balancer to
 * wait for. */
fw_gateway_config_t fw_options_gateway(const fw_config_t *config, fw_roles_t roles,
                                       const fw_endpoints_t *connect);

/* What no single option's range can say. 0, or -EINVAL with ret_error naming the option and where
 * it was set. */
int fw_options_check(const fw_config_t *config, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));

/* Calls visit for every option whose value differs. */
typedef void fw_options_visit_fn(void *context, const fw_option_t *option);
void fw_options_compare(const fw_config_t *before, const fw_config_t *after,
                        fw_options_visit_fn *visit, void *context);
