/* actor.h - a thread with one state, its own sockets and a control pipe.   SPDX-License-Identifier:
 * MPL-2.0 The parent starts, signals and stops it; nothing else is shared. Stop always joins. */
#pragma once

#include <czmq.h>
#include <stdint.h>

typedef struct fw_actor fw_actor_t;

typedef enum {
    FW_CONTROL_STOP = 1, /* leave the loop now */
    FW_CONTROL_DRAIN,    /* stop taking new work, finish what is begun, go on until STOP */
    FW_CONTROL_RELOAD,   /* re-read what can change while running */
} fw_control_t;

/* The thread's body. It must call fw_actor_ready exactly once, then serve until fw_actor_receive
 * returns FW_CONTROL_STOP, close its sockets and return. All signals are blocked in it, except
 * those that its own faults raise. */
typedef void fw_actor_fn(zsock_t *pipe, void *args);

/* Starts a thread and waits for its fw_actor_ready. Name: at most 15 characters, also used in the
 * log. args stays the caller's and must live until the actor is stopped. 0 and *ret_actor, or the
 * negative errno that the body gave to fw_actor_ready, or that pthread_create gave. */
int fw_actor_start(const char *name, fw_actor_fn *body, void *args, fw_actor_t **ret_actor)
    __attribute__((warn_unused_result));

/* Sends STOP, which overtakes every control that waits, and joins. NULL-safe, sets *self_p to NULL.
 */
void fw_actor_stop(fw_actor_t **self_p);

/* Sends a control; never blocks: 0, or -EAGAIN when 1,000 are waiting. */
int fw_actor_send(fw_actor_t *self, fw_control_t control) __attribute__((warn_unused_result));

/* For the body: reports the end of initialisation, 0 or a negative errno (then it must return at
 * once). */
void fw_actor_ready(zsock_t *pipe, int result);
/* For the body: the next control, or 0 when there is none; never blocks. */
fw_control_t fw_actor_receive(zsock_t *pipe);
