/* wakeup.h - lets a ZeroMQ socket wake a libuv loop.   SPDX-License-Identifier: MPL-2.0
 * A socket's ZMQ_FD only says "look at me", once. So it does nothing but end the loop's sleep; the
 * owner looks at every socket before each sleep. */
#pragma once

#include <czmq.h>
#include <uv.h>

typedef struct fw_wakeup fw_wakeup_t;

/* 0, or a negative errno. The socket must outlive it. */
int fw_wakeup_new(uv_loop_t *loop, zsock_t *socket, fw_wakeup_t **ret_wakeup)
    __attribute__((warn_unused_result));
/* Stops at once; the memory is freed in the loop's next turn. NULL-safe, sets *self_p to NULL. */
void fw_wakeup_destroy(fw_wakeup_t **self_p);
