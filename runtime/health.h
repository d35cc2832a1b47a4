/* health.h - is every actor alive, and may this process be given work?   SPDX-License-Identifier:
 * MPL-2.0 Any thread. Live: every actor's loop ticked within five seconds. Ready: live, and every
 * condition holds, and the process is not draining. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct fw_health fw_health_t;
typedef struct fw_pulse fw_pulse_t; /* one actor's loop */
typedef struct fw_condition
    fw_condition_t; /* one thing that must be true, for example "broker link" */

enum { FW_PULSE_MS_MAX = 5000 };

fw_health_t *fw_health_new(void) __attribute__((warn_unused_result));
void fw_health_destroy(fw_health_t **self_p);

/* name is borrowed for the registry's life. A pulse begins alive, a condition begins false. */
fw_pulse_t *fw_health_pulse(fw_health_t *self, const char *name);
fw_condition_t *fw_health_condition(fw_health_t *self, const char *name);
/* Call at every turn of the loop, at least once a second. */
/* One thing that is not as it should be while it holds, but does not make the process unready.
 * Begins false. */
fw_condition_t *fw_health_degraded(fw_health_t *self, const char *name);
void fw_pulse_beat(fw_pulse_t *self, int64_t now_ms);
/* The actor has ended on purpose. */
void fw_pulse_end(fw_pulse_t *self);
void fw_condition_set(fw_condition_t *self, bool holds);
void fw_health_set_draining(fw_health_t *self);

bool fw_health_live(fw_health_t *self, int64_t now_ms);
bool fw_health_ready(fw_health_t *self, int64_t now_ms);
/* JSON:
 * {"status":"ok"|"unready"|"dead","draining":…,"actors":{name:age_ms},"conditions":{name:true},
 * "degraded":{name:false}}.
 * The caller frees it. */
char *fw_health_render(fw_health_t *self, int64_t now_ms) __attribute__((warn_unused_result));
