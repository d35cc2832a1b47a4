/* network.h - packets on their way, in the order in which they arrive.   SPDX-License-Identifier:
 * MPL-2.0 */
#pragma once

#include "proto/bytes.h"

typedef enum {
    SIM_EVENT,     /* broker → gateway, event link */
    SIM_REPLY,     /* broker → gateway, control link */
    SIM_SUBSCRIBE, /* gateway → broker: 1 or 0, then the topic */
    SIM_REQUEST,   /* gateway → broker, control link */
    SIM_PUBLISH,   /* publisher → broker */
    SIM_ACK,       /* broker → publisher */
    SIM_FIRE,      /* fire-and-forget publisher → broker */
    SIM_ASK,       /* broker → fire-and-forget publisher */
    SIM_JOB,       /* broker → worker: number is the event, id the job, action what else to do */
    SIM_DONE,      /* worker → broker: number is the Redis time, id the job; 0 = failed */
    SIM_PURGE,     /* a planted bug: number is the event that a worker purges now */
} sim_kind_t;

typedef struct {
    int64_t at_us;
    uint64_t order; /* of equals, the earlier sent */
    sim_kind_t kind;
    size_t peer;         /* number of the gateway, publisher or worker */
    uint64_t connection; /* a packet of an older connection is lost */
    uint8_t life;        /* of the worker */
    uint64_t id, number;
    int action;
    bool again;       /* waits at its receiver, and comes once more */
    fw_bytes_t bytes; /* in memory */
    void *memory;     /* of a packet that has arrived; the receiver's to free */
} sim_packet_t;

typedef struct sim_network sim_network_t;

sim_network_t *sim_network_new(void);
void sim_network_destroy(sim_network_t **self_p);
/* Copies the packet and its bytes. */
void sim_network_send(sim_network_t *self, const sim_packet_t *packet);
/* The next packet that has arrived by now; the caller frees its memory. */
bool sim_network_receive(sim_network_t *self, int64_t now_us, sim_packet_t *ret_packet);
