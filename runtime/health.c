/* health.c - is every actor alive, and may this process be given work?   SPDX-License-Identifier:
 * MPL-2.0 */
#include "runtime/health.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/json.h"

struct fw_pulse {
    fw_pulse_t *next;
    const char *name;
    atomic_int_least64_t beat_ms; /* of the last turn of its loop */
    atomic_bool ended;
};

struct fw_condition {
    fw_condition_t *next;
    const char *name;
    atomic_bool holds;
};

struct fw_health {
    pthread_mutex_t mutex; /* of both lists; what they hold is atomic and never goes away */
    fw_pulse_t *pulses;    /* oldest first */
    fw_condition_t *conditions;
    fw_condition_t *degraded;
    atomic_bool draining;
};

static void lock(fw_health_t *self)
{
    int result = pthread_mutex_lock(&self->mutex);
    assert(result == 0);
    (void)result;
}

static void unlock(fw_health_t *self)
{
    int result = pthread_mutex_unlock(&self->mutex);
    assert(result == 0);
    (void)result;
}

fw_health_t *fw_health_new(void)
{
    fw_health_t *self = fw_alloc(1, sizeof *self);
    int result = pthread_mutex_init(&self->mutex, NULL);
    assert(result == 0);
    (void)result;
    return self;
}

static void free_conditions(fw_condition_t *first)
{
    while (first) {
        fw_condition_t *next = first->next;
        free(first);
        first = next;
    }
}

void fw_health_destroy(fw_health_t **self_p)
{
    fw_health_t *self = *self_p;
    if (!self)
        return;
    while (self->pulses) {
        fw_pulse_t *next = self->pulses->next;
        free(self->pulses);
        self->pulses = next;
    }
    free_conditions(self->conditions);
    free_conditions(self->degraded);
    (void)pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}

fw_pulse_t *fw_health_pulse(fw_health_t *self, const char *name)
{
    fw_pulse_t *pulse = fw_alloc(1, sizeof *pulse);
    pulse->name = name;
    atomic_store(&pulse->beat_ms, fw_clock_ms());
    lock(self);
    fw_pulse_t **place = &self->pulses;
    while (*place)
        place = &(*place)->next;
    *place = pulse;
    unlock(self);
    return pulse;
}

static fw_condition_t *add_condition(fw_health_t *self, fw_condition_t **place, const char *name)
{
    fw_condition_t *condition = fw_alloc(1, sizeof *condition);
    condition->name = name;
    lock(self);
    while (*place)
        place = &(*place)->next;
    *place = condition;
    unlock(self);
    return condition;
}

fw_condition_t *fw_health_condition(fw_health_t *self, const char *name)
{
    return add_condition(self, &self->conditions, name);
}

fw_condition_t *fw_health_degraded(fw_health_t *self, const char *name)
{
    return add_condition(self, &self->degraded, name);
}

void fw_pulse_beat(fw_pulse_t *self, int64_t now_ms)
{
    atomic_store_explicit(&self->beat_ms, now_ms, memory_order_relaxed);
}

void fw_pulse_end(fw_pulse_t *self)
{
    atomic_store(&self->ended, true);
}

void fw_condition_set(fw_condition_t *self, bool holds)
{
    atomic_store(&self->holds, holds);
}

void fw_health_set_draining(fw_health_t *self)
{
    atomic_store(&self->draining, true);
}

/* A beat may be later than the time the asker read: that is an age of 0. */
static int64_t age_ms(const fw_pulse_t *pulse, int64_t now_ms)
{
    int64_t beat_ms = atomic_load_explicit(&pulse->beat_ms, memory_order_relaxed);
    return now_ms > beat_ms ? now_ms - beat_ms : 0;
}

static bool live(const fw_health_t *self, int64_t now_ms)
{
    for (const fw_pulse_t *pulse = self->pulses; pulse; pulse = pulse->next)
        if (!atomic_load(&pulse->ended) && age_ms(pulse, now_ms) > FW_PULSE_MS_MAX)
            return false;
    return true;
}

static bool ready(const fw_health_t *self, int64_t now_ms)
{
    if (atomic_load(&self->draining) || !live(self, now_ms))
        return false;
    for (const fw_condition_t *condition = self->conditions; condition; condition = condition->next)
        if (!atomic_load(&condition->holds))
            return false;
    return true;
}

bool fw_health_live(fw_health_t *self, int64_t now_ms)
{
    lock(self);
    bool result = live(self, now_ms);
    unlock(self);
    return result;
}

bool fw_health_ready(fw_health_t *self, int64_t now_ms)
{
    lock(self);
    bool result = ready(self, now_ms);
    unlock(self);
    return result;
}

static void write_name(FILE *out, const char *name)
{
    char piece[FW_JSON_PIECE_MAX];
    size_t size;
    (void)fputc('"', out);
    while ((size = fw_json_escape(&name, piece)) > 0)
        (void)fwrite(piece, 1, size, out);
    (void)fputs("\":", out);
}

static void write_conditions(const fw_condition_t *first, FILE *out)
{
    const char *separator = "";
    for (const fw_condition_t *condition = first; condition; condition = condition->next) {
        (void)fputs(separator, out);
        write_name(out, condition->name);
        (void)fputs(atomic_load(&condition->holds) ? "true" : "false", out);
        separator = ",";
    }
}

static void write_status(fw_health_t *self, int64_t now_ms, FILE *out)
{
    const char *status = ready(self, now_ms) ? "ok" : live(self, now_ms) ? "unready" : "dead";
    (void)fprintf(out, "{\"status\":\"%s\",\"draining\":%s,\"actors\":{", status,
                  atomic_load(&self->draining) ? "true" : "false");
    const char *separator = "";
    for (const fw_pulse_t *pulse = self->pulses; pulse; pulse = pulse->next) {
        if (atomic_load(&pulse->ended))
            continue;
        (void)fputs(separator, out);
        write_name(out, pulse->name);
        (void)fprintf(out, "%" PRId64, age_ms(pulse, now_ms));
        separator = ",";
    }
    (void)fputs("},\"conditions\":{", out);
    write_conditions(self->conditions, out);
    (void)fputs("},\"degraded\":{", out);
    write_conditions(self->degraded, out);
    (void)fputs("}}\n", out);
}

char *fw_health_render(fw_health_t *self, int64_t now_ms)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort(); /* out of memory, as in fw_alloc */
    lock(self);
    write_status(self, now_ms, out);
    unlock(self);
    if (fclose(out) != 0)
        abort();
    return text;
}
