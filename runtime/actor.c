/* actor.c - a thread with one state, its own sockets and a control pipe.   SPDX-License-Identifier:
 * MPL-2.0 Not czmq's zactor: that one does not check pthread_create, cannot report a failed start,
 * and leaves a thread running when its pipe is full at destruction. */
#include "runtime/actor.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"
#include "runtime/context.h"
#include "runtime/log.h"

enum {
    NAME_SIZE = 16,     /* what the kernel keeps of a thread's name */
    WAITING_MAX = 1000, /* controls sent and not yet received */
};

struct fw_actor {
    char name[NAME_SIZE];
    fw_actor_fn *body;
    void *args;
    pthread_t thread;
    zsock_t *front;       /* the parent's end of the pipe */
    zsock_t *back;        /* the body's end; closed by the thread */
    atomic_uint waiting;  /* controls in the pipe */
    atomic_bool stopping; /* overtakes every waiting control */
    atomic_bool reported; /* fw_actor_ready was called: what the body wrote before it is visible */
};

/* The actor that this thread runs: fw_actor_ready and fw_actor_receive are only given its pipe. */
static _Thread_local fw_actor_t *self_of_thread;

/* A connected pair of sockets. The pipe itself is unbounded so that STOP always goes in; controls
 * are counted. */
static int open_pipe(zsock_t **ret_front, zsock_t **ret_back)
{
    static atomic_uint_least64_t last_pipe;
    zsock_t *front = zsock_new(ZMQ_PAIR);
    zsock_t *back = front ? zsock_new(ZMQ_PAIR) : NULL;
    int result = 0;
    if (!back) {
        result = -EMFILE;
        goto failed;
    }
    static const int none = 0;
    char endpoint[64];
    (void)snprintf(endpoint, sizeof endpoint, "inproc://freshwire-actor-%" PRIuLEAST64,
                   atomic_fetch_add(&last_pipe, 1) + 1);
    void *front_raw = zsock_resolve(front);
    void *back_raw = zsock_resolve(back);
    if (zmq_setsockopt(front_raw, ZMQ_SNDHWM, &none, sizeof none) != 0 ||
        zmq_setsockopt(front_raw, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_setsockopt(back_raw, ZMQ_RCVHWM, &none, sizeof none) != 0 ||
        zmq_setsockopt(back_raw, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_bind(front_raw, endpoint) != 0 || zmq_connect(back_raw, endpoint) != 0) {
        result = -errno;
        goto failed;
    }
    *ret_front = front;
    *ret_back = back;
    return 0;

failed:
    zsock_destroy(&back);
    zsock_destroy(&front);
    return result;
}

static void *run(void *args)
{
    fw_actor_t *self = args;
    self_of_thread = self;
    (void)pthread_setname_np(pthread_self(), self->name);
    fw_log_set_actor(self->name);
    self->body(self->back, self->args);
    assert(self->reported);
    zsock_destroy(&self->back);
    return NULL;
}

/* Starts the thread with every signal blocked, but for the ones that its own faults raise: a
 * blocked SIGSEGV would end the process without a report. */
static int start_thread(fw_actor_t *self)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t blocked;
    sigset_t before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&blocked, faults[i]);
    int result = pthread_sigmask(SIG_SETMASK, &blocked, &before);
    assert(result == 0);
    int created = pthread_create(&self->thread, NULL, run, self);
    result = pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert(result == 0);
    (void)result;
    return -created;
}

static int wait_until_ready(fw_actor_t *self)
{
    int result = 0;
    int size;
    do
        size = zmq_recv(zsock_resolve(self->front), &result, sizeof result, 0);
    while (size < 0 && errno == EINTR);
    /* Not only a check: it pairs with the store in fw_actor_ready, and so what the body wrote is
     * seen here. */
    bool reported = atomic_load(&self->reported);
    assert(size == (int)sizeof result);
    assert(reported);
    (void)reported;
    return result;
}

static void join(fw_actor_t **self_p)
{
    fw_actor_t *self = *self_p;
    int result = pthread_join(self->thread, NULL);
    assert(result == 0);
    (void)result;
    zsock_destroy(&self->front);
    free(self);
    *self_p = NULL;
}

int fw_actor_start(const char *name, fw_actor_fn *body, void *args, fw_actor_t **ret_actor)
{
    assert(name && body);
    assert(strlen(name) < NAME_SIZE);
    (void)fw_context();
    fw_actor_t *self = fw_alloc(1, sizeof *self);
    memcpy(self->name, name, strlen(name));
    self->body = body;
    self->args = args;
    int result = open_pipe(&self->front, &self->back);
    if (result != 0) {
        free(self);
        return result;
    }
    result = start_thread(self);
    if (result != 0) {
        zsock_destroy(&self->back);
        zsock_destroy(&self->front);
        free(self);
        return result;
    }
    result = wait_until_ready(self);
    if (result != 0) {
        join(&self);
        return result;
    }
    *ret_actor = self;
    return 0;
}

static int send_control(fw_actor_t *self, fw_control_t control)
{
    uint8_t byte = (uint8_t)control;
    int sent;
    do
        sent = zmq_send(zsock_resolve(self->front), &byte, sizeof byte, ZMQ_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

void fw_actor_stop(fw_actor_t **self_p)
{
    fw_actor_t *self = *self_p;
    if (!self)
        return;
    atomic_store(&self->stopping, true);
    /* Only wakes the actor. It fails when the body has already returned, which is as good. */
    (void)send_control(self, FW_CONTROL_STOP);
    join(self_p);
}

int fw_actor_send(fw_actor_t *self, fw_control_t control)
{
    assert(control == FW_CONTROL_DRAIN || control == FW_CONTROL_RELOAD);
    if (atomic_fetch_add(&self->waiting, 1) >= WAITING_MAX) {
        atomic_fetch_sub(&self->waiting, 1);
        return -EAGAIN;
    }
    int result = send_control(self, control);
    if (result != 0)
        atomic_fetch_sub(&self->waiting, 1);
    return result;
}

void fw_actor_ready(zsock_t *pipe, int result)
{
    fw_actor_t *self = self_of_thread;
    assert(self && self->back == pipe);
    assert(!self->reported);
    assert(result <= 0);
    atomic_store(&self->reported, true);
    int sent = zmq_send(zsock_resolve(pipe), &result, sizeof result, 0);
    assert(sent == (int)sizeof result);
    (void)sent;
}

fw_control_t fw_actor_receive(zsock_t *pipe)
{
    fw_actor_t *self = self_of_thread;
    assert(self && self->back == pipe);
    if (atomic_load(&self->stopping))
        return FW_CONTROL_STOP;
    uint8_t byte = 0;
    int size = zmq_recv(zsock_resolve(pipe), &byte, sizeof byte, ZMQ_DONTWAIT);
    if (size < 0)
        return (fw_control_t)0;
    assert(size == 1);
    /* The wake-up of a STOP may arrive here before its flag was looked at again. */
    if (byte != FW_CONTROL_STOP)
        atomic_fetch_sub(&self->waiting, 1);
    return (fw_control_t)byte;
}
