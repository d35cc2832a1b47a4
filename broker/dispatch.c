/* dispatch.c - see dispatch.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/dispatch.h"

#include <assert.h>

#include "broker/timers.h"
#include "runtime/alloc.h"
#include "runtime/hash.h"

enum {
    HOLDERS_MAX = 2,
    SECOND_SCAN_MAX = 64,     /* jobs looked at for a second worker in one go */
    RETRY_DOUBLINGS_MAX = 20, /* beyond it the cap has long been reached */
};

typedef struct worker {
    UT_hash_handle hh;
    fw_peer_t peer;
    uint32_t capacity;
    uint32_t outstanding;
    int64_t seen_us;
} worker_t;

/* Where a job is. */
typedef enum {
    QUEUED, /* in the queue: nobody has it */
    LEASED, /* one worker has it; or two, or one and waiting for a second */
    WAITING /* until its retry time */
} job_state_t;

struct fw_dispatch_job {
    UT_hash_handle hh;
    uint64_t id;
    job_state_t state;
    uint32_t attempt; /* times sent */
    uint32_t failures;
    bool wants_second; /* in the list of jobs that wait for another worker */
    fw_cache_action_t action;
    size_t bytes; /* all of it */
    fw_invalidate_t invalidate;
    char *texts; /* what invalidate points to */
    fw_text_t *views;
    void *owner;
    worker_t *holders[HOLDERS_MAX];
    const worker_t *avoid; /* failed it last */
    int64_t created_us;
    fw_timer_t timer;
    fw_dispatch_job_t *prev, *next;
};

struct fw_dispatch {
    fw_dispatch_options_t options;
    fw_dispatch_output_t output;
    worker_t *workers;
    fw_dispatch_job_t *jobs; /* all, by id */
    fw_dispatch_job_t *queue;
    fw_dispatch_job_t *second; /* leased, but another worker should get them too */
    size_t queued;
    size_t orphans; /* purges without an owner */
    size_t orphans_bytes;
    size_t loose_flushes; /* for purges that were given up */
    uint64_t given_up;
    uint64_t flushes;
    uint64_t last_id;
    fw_timers_t *timers;
    int64_t looked_us; /* when silent workers were last looked for */
    fw_random_t random;
};

fw_dispatch_t *fw_dispatch_new(const fw_dispatch_options_t *options,
                               const fw_dispatch_output_t *output)
{
    fw_dispatch_t *self = fw_alloc(1, sizeof *self);
    self->options = *options;
    self->output = *output;
    self->random.state = options->seed;
    /* Not from 1: an answer to a job of the broker before must not be taken for one of ours. */
    self->last_id = fw_random_next(&self->random) >> 1;
    self->timers = fw_timers_new();
    return self;
}

static bool is_orphan(const fw_dispatch_job_t *job)
{
    return !job->owner && job->action == FW_CACHE_NONE;
}

/* A flush for purges that were given up. */
static bool is_loose_flush(const fw_dispatch_job_t *job)
{
    return !job->owner && job->action == FW_CACHE_FLUSH;
}

static void count_orphan(fw_dispatch_t *self, const fw_dispatch_job_t *job, bool more)
{
    self->orphans += more ? 1 : (size_t)-1;
    self->orphans_bytes += more ? job->bytes : -job->bytes;
}

static void free_job(fw_dispatch_t *self, fw_dispatch_job_t *job)
{
    if (is_orphan(job))
        count_orphan(self, job, false);
    if (is_loose_flush(job))
        self->loose_flushes--;
    fw_timers_cancel(self->timers, &job->timer);
    HASH_DELETE(hh, self->jobs, job);
    free(job->texts);
    free(job->views);
    free(job);
}

void fw_dispatch_destroy(fw_dispatch_t **self_p)
{
    fw_dispatch_t *self = *self_p;
    worker_t *worker, *next_worker;
    fw_dispatch_job_t *job, *next_job;
    if (!self)
        return;
    HASH_ITER(hh, self->jobs, job, next_job)
    {
        free_job(self, job);
    }
    HASH_ITER(hh, self->workers, worker, next_worker)
    {
        HASH_DELETE(hh, self->workers, worker);
        free(worker);
    }
    fw_timers_destroy(&self->timers);
    free(self);
    *self_p = NULL;
}

/* Copies a list of texts into the job's memory. */
static const fw_text_t *copy_texts(const fw_text_t *texts, size_t count, fw_text_t **views,
                                   char **at)
{
    const fw_text_t *first = *views;
    for (size_t i = 0; i < count; i++) {
        memcpy(*at, texts[i].text, texts[i].size);
        (*at)[texts[i].size] = '\0';
        *(*views)++ = (fw_text_t){*at, texts[i].size};
        *at += texts[i].size + 1;
    }
    return first;
}

static size_t size_of(const fw_text_t *texts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += texts[i].size + 1;
    return size;
}

static void copy_invalidate(fw_dispatch_job_t *job, const fw_invalidate_t *from)
{
    size_t count = from->keys_count + from->tags_count + from->patterns_count;
    size_t size = size_of(from->keys, from->keys_count) + size_of(from->tags, from->tags_count) +
                  size_of(from->patterns, from->patterns_count);
    job->views = fw_alloc(count, sizeof(fw_text_t));
    job->texts = fw_alloc(1, size);
    job->bytes = sizeof *job + size + count * sizeof(fw_text_t);
    fw_text_t *views = job->views;
    char *at = job->texts;
    job->invalidate = *from;
    job->invalidate.keys = copy_texts(from->keys, from->keys_count, &views, &at);
    job->invalidate.tags = copy_texts(from->tags, from->tags_count, &views, &at);
    job->invalidate.patterns = copy_texts(from->patterns, from->patterns_count, &views, &at);
}

static void leave_lists(fw_dispatch_t *self, fw_dispatch_job_t *job)
{
    if (job->state == QUEUED) {
        DL_DELETE(self->queue, job);
        self->queued--;
    }
    if (job->wants_second)
        DL_DELETE(self->second, job);
    job->wants_second = false;
}

static void drop_holder(fw_dispatch_job_t *job, const worker_t *worker)
{
    for (int i = 0; i < HOLDERS_MAX; i++) {
        if (job->holders[i] && (!worker || job->holders[i] == worker)) {
            if (job->holders[i]->outstanding > 0)
                job->holders[i]->outstanding--;
            job->holders[i] = NULL;
        }
    }
}

static bool is_held(const fw_dispatch_job_t *job, const worker_t *worker)
{
    for (int i = 0; i < HOLDERS_MAX; i++)
        if (job->holders[i] && (!worker || job->holders[i] == worker))
            return true;
    return false;
}

/* Everything waits for what concerns the cache as a whole. */
static void put(fw_dispatch_t *self, fw_dispatch_job_t *job)
{
    job->state = QUEUED;
    if (job->action != FW_CACHE_NONE)
        DL_PREPEND(self->queue, job);
    else
        DL_APPEND(self->queue, job);
    self->queued++;
}

static void enqueue(fw_dispatch_t *self, fw_dispatch_job_t *job)
{
    leave_lists(self, job);
    fw_timers_cancel(self->timers, &job->timer);
    put(self, job);
}

static worker_t *pick(const fw_dispatch_t *self, const fw_dispatch_job_t *job)
{
    worker_t *best = NULL;
    for (worker_t *worker = self->workers; worker; worker = worker->hh.next) {
        if (worker->outstanding >= worker->capacity || is_held(job, worker))
            continue;
        bool avoided = worker == job->avoid;
        bool best_avoided = best == job->avoid;
        if (!best || (best_avoided && !avoided) ||
            (best_avoided == avoided && worker->outstanding < best->outstanding))
            best = worker;
    }
    return best;
}

/* The moment for a second worker counts from the job's beginning, not from its last send: the
 * barrier does too. */
static int64_t next_look_us(const fw_dispatch_t *self, const fw_dispatch_job_t *job, int64_t now_us)
{
    int64_t second_us = job->created_us + self->options.first_us;
    return job->attempt == 1 && second_us > now_us ? second_us : now_us + self->options.lease_us;
}

static void remove_worker(fw_dispatch_t *self, worker_t *worker);

static bool send_to(fw_dispatch_t *self, fw_dispatch_job_t *job, worker_t *worker, int64_t now_us)
{
    fw_job_t message = {.job_id = job->id,
                        .attempt = job->attempt + 1,
                        .lease_ms = (uint32_t)(self->options.lease_us / 1000),
                        .invalidate = job->invalidate,
                        .cache_action = job->action};
    if (job->action == FW_CACHE_OPEN || job->action == FW_CACHE_CLOSE)
        message.broker = (fw_bytes_t){self->options.incarnation, sizeof self->options.incarnation};
    if (self->output.send(self->output.context, &worker->peer, &message) < 0) {
        remove_worker(self, worker);
        return false;
    }
    leave_lists(self, job);
    job->state = LEASED;
    job->attempt++;
    job->holders[job->holders[0] ? 1 : 0] = worker;
    worker->outstanding++;
    fw_timers_set(self->timers, &job->timer, next_look_us(self, job, now_us));
    return true;
}

static void pump(fw_dispatch_t *self, int64_t now_us)
{
    int scanned = 0;
    while (self->queue) {
        worker_t *worker = pick(self, self->queue);
        if (!worker)
            break;
        (void)send_to(self, self->queue, worker, now_us);
    }
    for (fw_dispatch_job_t *job = self->second, *next; job && scanned < SECOND_SCAN_MAX;
         job = next, scanned++) {
        worker_t *worker = pick(self, job);
        next = job->next;
        /* A worker that turns out to be gone changes the lists: look again next time. */
        if (worker && !send_to(self, job, worker, now_us))
            break;
    }
}

static fw_dispatch_job_t *make_job(fw_dispatch_t *self, const fw_invalidate_t *invalidate,
                                   fw_cache_action_t action, void *owner, int64_t now_us)
{
    fw_dispatch_job_t *job = fw_alloc(1, sizeof *job);
    job->id = ++self->last_id;
    job->owner = owner;
    job->action = action;
    job->created_us = now_us;
    job->timer.owner = job;
    copy_invalidate(job, invalidate);
    HASH_ADD(hh, self->jobs, id, sizeof job->id, job);
    put(self, job);
    if (is_orphan(job))
        count_orphan(self, job, true);
    if (action == FW_CACHE_FLUSH)
        self->flushes++;
    if (is_loose_flush(job))
        self->loose_flushes++;
    return job;
}

fw_dispatch_job_t *fw_dispatch_add(fw_dispatch_t *self, const fw_invalidate_t *invalidate,
                                   void *owner, int64_t now_us)
{
    fw_dispatch_job_t *job = make_job(self, invalidate, FW_CACHE_NONE, owner, now_us);
    pump(self, now_us);
    return job;
}

fw_dispatch_job_t *fw_dispatch_add_action(fw_dispatch_t *self, fw_cache_action_t action,
                                          void *owner, int64_t now_us)
{
    static const fw_invalidate_t nothing;
    fw_dispatch_job_t *job = make_job(self, &nothing, action, owner, now_us);
    pump(self, now_us);
    return job;
}

void fw_dispatch_disown(fw_dispatch_t *self, fw_dispatch_job_t *job)
{
    job->owner = NULL;
    if (is_orphan(job))
        count_orphan(self, job, true);
}

/* A flush that nobody has, and nobody may still answer, covers everything until now. */
static bool flush_waits(const fw_dispatch_t *self)
{
    for (const fw_dispatch_job_t *job = self->jobs; job; job = job->hh.next)
        if (job->action == FW_CACHE_FLUSH && job->attempt == job->failures && !is_held(job, NULL))
            return true;
    return false;
}

/* Events of these jobs were released unconfirmed long ago. Memory is bounded by doing what covers
 * all of them. */
static void give_up_orphans(fw_dispatch_t *self, int64_t now_us)
{
    fw_dispatch_job_t *job, *next;
    if (self->orphans <= self->options.orphans_max &&
        self->orphans_bytes <= self->options.orphans_bytes_max)
        return;
    HASH_ITER(hh, self->jobs, job, next)
    {
        if (!is_orphan(job))
            continue;
        leave_lists(self, job);
        drop_holder(job, NULL);
        free_job(self, job);
        self->given_up++;
    }
    if (!flush_waits(self))
        (void)make_job(self, &(fw_invalidate_t){0}, FW_CACHE_FLUSH, NULL, now_us);
}

static worker_t *find_worker(const fw_dispatch_t *self, const fw_peer_t *peer)
{
    worker_t *worker;
    HASH_FIND(hh, self->workers, peer->id, peer->size, worker);
    return worker;
}

void fw_dispatch_worker(fw_dispatch_t *self, const fw_peer_t *peer, uint32_t capacity,
                        int64_t now_us)
{
    worker_t *worker = find_worker(self, peer);
    if (!worker) {
        worker = fw_alloc(1, sizeof *worker);
        worker->peer = *peer;
        HASH_ADD_KEYPTR(hh, self->workers, worker->peer.id, worker->peer.size, worker);
    }
    worker->capacity = capacity;
    worker->seen_us = now_us;
    pump(self, now_us);
}

bool fw_dispatch_seen(fw_dispatch_t *self, const fw_peer_t *peer, int64_t now_us)
{
    worker_t *worker = find_worker(self, peer);
    if (!worker)
        return false;
    worker->seen_us = now_us;
    return true;
}

static void remove_worker(fw_dispatch_t *self, worker_t *worker)
{
    for (fw_dispatch_job_t *job = self->jobs; job; job = job->hh.next) {
        if (job->avoid == worker)
            job->avoid = NULL;
        if (!is_held(job, worker))
            continue;
        drop_holder(job, worker);
        if (!is_held(job, NULL))
            enqueue(self, job);
        else if (!job->holders[0]) {
            job->holders[0] = job->holders[1];
            job->holders[1] = NULL;
        }
    }
    HASH_DELETE(hh, self->workers, worker);
    free(worker);
}

void fw_dispatch_gone(fw_dispatch_t *self, const fw_peer_t *peer, int64_t now_us)
{
    worker_t *worker = find_worker(self, peer);
    if (!worker)
        return;
    remove_worker(self, worker);
    pump(self, now_us);
}

static fw_dispatch_job_t *find_job(const fw_dispatch_t *self, uint64_t job_id)
{
    fw_dispatch_job_t *job;
    HASH_FIND(hh, self->jobs, &job_id, sizeof job_id, job);
    return job;
}

static void end(fw_dispatch_t *self, fw_dispatch_job_t *job, fw_job_outcome_t outcome,
                uint64_t redis_time)
{
    void *owner = job->owner;
    leave_lists(self, job);
    drop_holder(job, NULL);
    free_job(self, job);
    self->output.ended(self->output.context, owner, outcome, redis_time);
}

const fw_invalidate_t *fw_dispatch_purges(const fw_dispatch_t *self, uint64_t job_id,
                                          int64_t *ret_added_us)
{
    const fw_dispatch_job_t *job = find_job(self, job_id);
    if (!job || job->attempt == 0 || job->action != FW_CACHE_NONE)
        return NULL;
    *ret_added_us = job->created_us;
    return &job->invalidate;
}

bool fw_dispatch_done(fw_dispatch_t *self, const fw_peer_t *peer, uint64_t job_id,
                      uint64_t redis_time, int64_t now_us)
{
    fw_dispatch_job_t *job = find_job(self, job_id);
    if (!job || !fw_dispatch_seen(self, peer, now_us) || job->attempt == 0)
        return false;
    end(self, job, FW_JOB_DONE, redis_time);
    pump(self, now_us);
    return true;
}

/* Another worker may succeed at once; when this one is the only one, or it was tried, wait. */
static void retry(fw_dispatch_t *self, fw_dispatch_job_t *job, int64_t now_us)
{
    unsigned doublings = job->failures < RETRY_DOUBLINGS_MAX ? job->failures : RETRY_DOUBLINGS_MAX;
    int64_t delay_us = self->options.retry_base_us << doublings;
    if (job->failures == 1 && HASH_COUNT(self->workers) > 1) {
        enqueue(self, job);
        return;
    }
    if (delay_us > self->options.retry_us_max)
        delay_us = self->options.retry_us_max;
    /* Half fixed, half random: workers of many failed jobs do not come back in step. */
    delay_us = delay_us / 2 + (int64_t)fw_random_below(&self->random, (uint64_t)delay_us / 2 + 1);
    leave_lists(self, job);
    job->state = WAITING;
    fw_timers_set(self->timers, &job->timer, now_us + delay_us);
}

bool fw_dispatch_failed(fw_dispatch_t *self, const fw_peer_t *peer, uint64_t job_id, bool retryable,
                        int64_t now_us)
{
    fw_dispatch_job_t *job = find_job(self, job_id);
    worker_t *worker = find_worker(self, peer);
    if (!job || !worker || !is_held(job, worker))
        return false;
    worker->seen_us = now_us;
    if (!retryable) {
        end(self, job, FW_JOB_IMPOSSIBLE, 0);
        pump(self, now_us);
        return true;
    }
    drop_holder(job, worker);
    job->avoid = worker;
    job->failures++;
    if (!job->holders[0]) {
        job->holders[0] = job->holders[1];
        job->holders[1] = NULL;
    }
    if (!is_held(job, NULL))
        retry(self, job, now_us);
    pump(self, now_us);
    return true;
}

static void job_due(fw_dispatch_t *self, fw_dispatch_job_t *job, int64_t now_us)
{
    if (job->state == WAITING) {
        enqueue(self, job);
        return;
    }
    assert(job->state == LEASED);
    if (job->attempt == 1 && !job->wants_second) {
        job->wants_second = true;
        DL_APPEND(self->second, job);
        fw_timers_set(self->timers, &job->timer, now_us + self->options.lease_us);
        return;
    }
    drop_holder(job, NULL);
    enqueue(self, job);
}

static void remove_silent(fw_dispatch_t *self, int64_t now_us)
{
    worker_t *worker, *next;
    HASH_ITER(hh, self->workers, worker, next)
    {
        if (now_us - worker->seen_us > self->options.silence_us_max)
            remove_worker(self, worker);
    }
}

void fw_dispatch_tick(fw_dispatch_t *self, int64_t now_us)
{
    fw_timer_t *timer;
    if (now_us - self->looked_us >= self->options.silence_us_max / 4) {
        self->looked_us = now_us;
        remove_silent(self, now_us);
    }
    while ((timer = fw_timers_expire(self->timers, now_us)))
        job_due(self, timer->owner, now_us);
    give_up_orphans(self, now_us);
    pump(self, now_us);
}

int64_t fw_dispatch_next_us(const fw_dispatch_t *self)
{
    int64_t look_us = self->looked_us + self->options.silence_us_max / 4;
    int64_t timer_us = fw_timers_next_us(self->timers);
    if (!self->workers)
        return timer_us;
    return timer_us < look_us ? timer_us : look_us;
}

size_t fw_dispatch_jobs(const fw_dispatch_t *self)
{
    return HASH_COUNT(self->jobs);
}

size_t fw_dispatch_queued(const fw_dispatch_t *self)
{
    return self->queued;
}

bool fw_dispatch_owes(const fw_dispatch_t *self)
{
    return self->orphans + self->loose_flushes > 0;
}

uint64_t fw_dispatch_given_up(const fw_dispatch_t *self)
{
    return self->given_up;
}

uint64_t fw_dispatch_flushes(const fw_dispatch_t *self)
{
    return self->flushes;
}

size_t fw_dispatch_workers(const fw_dispatch_t *self)
{
    return HASH_COUNT(self->workers);
}
