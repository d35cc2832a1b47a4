/* roles.h - the roles that run in this process, started and stopped in order.
 * SPDX-License-Identifier: MPL-2.0 Owned by main. Start: admin, broker, workers, gateway. Stop:
 * gateway, workers, broker, admin. */
#pragma once

#include "cli/options.h"
#include "runtime/admin.h"

/* Real addresses, under which this machine reaches them; "" for what does not run here. */
typedef struct {
    char gateway[300]; /* http://… */
    char admin[300];   /* http://… */
    char fire[300], publish[300], jobs[300], events[300], control[300];
} fw_addresses_t;

typedef struct fw_process fw_process_t;

/* Starts the roles. config must outlive the process. 0, or a negative errno with ret_error, which
 * names the option that is to blame and what to do; then nothing is left running. */
int fw_process_start(const fw_config_t *config, fw_roles_t roles, fw_process_t **ret_process,
                     fw_config_error_t *ret_error) __attribute__((warn_unused_result));
void fw_process_addresses(const fw_process_t *self, fw_addresses_t *ret_addresses);
/* Takes over what can change while running: the peers that the broker lets in, and what
 * fw_gateway_reload names. 0, or a negative errno with ret_error. */
int fw_process_reload(fw_process_t *self, const fw_config_t *config, fw_config_error_t *ret_error)
    __attribute__((warn_unused_result));
/* Can it take over this option's change? */
bool fw_process_reloads(const fw_process_t *self, const char *path);
/* Moves the sessions away; returns when the gateway's drain is over, or soon after
 * fw_process_hurry. */
void fw_process_drain(fw_process_t *self);
/* From another thread: ends a drain that runs now, or the next one before it begins. */
void fw_process_hurry(fw_process_t *self);
/* Stops everything, draining first if that has not been done; NULL-safe, sets *self_p to NULL. */
void fw_process_stop(fw_process_t **self_p);
