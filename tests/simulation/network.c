/* network.c - see network.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/simulation/network.h"

#include <stdlib.h>

#include "broker/timers.h"
#include "runtime/alloc.h"

typedef struct {
    sim_packet_t packet;
    fw_timer_t timer;
} flight_t;

struct sim_network {
    fw_timers_t *timers;
    uint64_t sent;
};

sim_network_t *sim_network_new(void)
{
    sim_network_t *self = fw_alloc(1, sizeof *self);
    self->timers = fw_timers_new();
    return self;
}

void sim_network_destroy(sim_network_t **self_p)
{
    sim_packet_t packet;
    while (sim_network_receive(*self_p, INT64_MAX, &packet))
        free(packet.memory);
    fw_timers_destroy(&(*self_p)->timers);
    free(*self_p);
    *self_p = NULL;
}

void sim_network_send(sim_network_t *self, const sim_packet_t *packet)
{
    enum { ORDER_BITS = 20 }; /* so many packets in one microsecond keep their order */
    flight_t *flight = fw_alloc(1, sizeof *flight);
    flight->packet = *packet;
    flight->packet.order = self->sent++;
    flight->packet.memory = fw_copy_text((const char *)packet->bytes.data, packet->bytes.size);
    flight->packet.bytes.data = flight->packet.memory;
    flight->timer.owner = flight;
    fw_timers_set(self->timers, &flight->timer,
                  packet->at_us << ORDER_BITS |
                      (int64_t)(flight->packet.order & ((1 << ORDER_BITS) - 1)));
}

bool sim_network_receive(sim_network_t *self, int64_t now_us, sim_packet_t *ret_packet)
{
    int64_t until = now_us == INT64_MAX ? INT64_MAX : (now_us + 1) << 20;
    fw_timer_t *timer = fw_timers_expire(self->timers, until - 1);
    if (!timer)
        return false;
    flight_t *flight = timer->owner;
    *ret_packet = flight->packet;
    free(flight);
    return true;
}
