/* job_link.c - when to say what on the link to the broker.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/job_link.h"

fw_job_link_t fw_job_link_make(uint64_t seed, int64_t now_ms)
{
    return (fw_job_link_t){
        .state = FW_JOB_LINK_AWAY,
        .heard_ms = now_ms,
        .asked_ms = now_ms,
        .next_ms = now_ms,
        .backoff = fw_backoff_make(0, FW_JOB_LINK_BACKOFF_MS, FW_JOB_LINK_BACKOFF_MS_MAX, seed),
    };
}

void fw_job_link_want(fw_job_link_t *self, bool wanted, int64_t now_ms)
{
    if (self->wanted == wanted) {
        return;
    }
    self->wanted = wanted;
    if (wanted && self->open) {
        self->state = FW_JOB_LINK_GREETING;
        self->heard_ms = now_ms;
        self->next_ms = now_ms;
    }
}

static fw_job_link_action_t open_socket(fw_job_link_t *self, int64_t now_ms)
{
    self->open = true;
    self->state = self->wanted ? FW_JOB_LINK_GREETING : FW_JOB_LINK_AWAY;
    self->heard_ms = now_ms;
    self->next_ms = now_ms;
    return FW_JOB_LINK_OPEN;
}

static fw_job_link_action_t close_socket(fw_job_link_t *self, int64_t now_ms)
{
    self->open = false;
    self->state = FW_JOB_LINK_AWAY;
    self->next_ms = now_ms + fw_backoff_next_ms(&self->backoff);
    return FW_JOB_LINK_CLOSE;
}

fw_job_link_action_t fw_job_link_next(fw_job_link_t *self, int64_t now_ms)
{
    int64_t pause_ms = now_ms - self->asked_ms;
    self->asked_ms = now_ms;
    if (pause_ms > FW_JOB_LINK_STALL_MS) {
        self->heard_ms += pause_ms;
    }
    if (!self->open) {
        return now_ms >= self->next_ms ? open_socket(self, now_ms) : FW_JOB_LINK_NOTHING;
    }
    if (self->state == FW_JOB_LINK_AWAY) {
        /* Nobody is asked anything, so silence means nothing. */
        return FW_JOB_LINK_NOTHING;
    }
    if (!self->wanted) {
        self->state = FW_JOB_LINK_AWAY;
        return FW_JOB_LINK_SAY_GOODBYE;
    }
    if (now_ms - self->heard_ms >= FW_JOB_LINK_SILENCE_MS) {
        return close_socket(self, now_ms);
    }
    if (now_ms < self->next_ms) {
        return FW_JOB_LINK_NOTHING;
    }
    if (now_ms - self->heard_ms >= FW_JOB_LINK_PING_MS) {
        /* The last Ping was not answered: perhaps a new connection, on which nobody knows us. */
        self->state = FW_JOB_LINK_GREETING;
    }
    if (self->state == FW_JOB_LINK_GREETING) {
        self->next_ms = now_ms + FW_JOB_LINK_HELLO_MS;
        return FW_JOB_LINK_SAY_HELLO;
    }
    self->next_ms = now_ms + FW_JOB_LINK_PING_MS;
    return FW_JOB_LINK_SAY_PING;
}

void fw_job_link_opening(fw_job_link_t *self, int64_t now_ms)
{
    self->open = false;
    self->state = FW_JOB_LINK_AWAY;
    self->next_ms = now_ms + FW_JOB_LINK_OPENING_MS;
}

void fw_job_link_failed(fw_job_link_t *self, int64_t now_ms)
{
    (void)close_socket(self, now_ms);
}

void fw_job_link_unsent(fw_job_link_t *self, int64_t now_ms)
{
    if (self->state == FW_JOB_LINK_GREETING) {
        self->next_ms = now_ms + FW_JOB_LINK_RETRY_MS;
    }
}

void fw_job_link_heard(fw_job_link_t *self, int64_t now_ms)
{
    self->heard_ms = now_ms;
}

bool fw_job_link_welcomed(fw_job_link_t *self, fw_bytes_t incarnation, int64_t now_ms)
{
    bool other =
        self->knows_broker && (incarnation.size != FW_INCARNATION_SIZE ||
                               memcmp(self->broker, incarnation.data, FW_INCARNATION_SIZE) != 0);
    self->knows_broker = incarnation.size == FW_INCARNATION_SIZE;
    if (self->knows_broker) {
        memcpy(self->broker, incarnation.data, FW_INCARNATION_SIZE);
    }
    if (self->state == FW_JOB_LINK_GREETING) {
        self->state = FW_JOB_LINK_SERVING;
        self->next_ms = now_ms + FW_JOB_LINK_PING_MS;
        fw_backoff_reset(&self->backoff);
    }
    return other;
}

void fw_job_link_dismissed(fw_job_link_t *self, int64_t now_ms)
{
    if (self->state != FW_JOB_LINK_SERVING) {
        return;
    }
    self->state = FW_JOB_LINK_GREETING;
    self->next_ms = now_ms;
}
