/* shard_door.c - see shard_door.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/shard_door.h"

#include <assert.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/shard_internal.h"
#include "gateway/shard_sessions.h"
#include "gateway/shard_visitor.h"
#include "gateway/shard_watch.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "runtime/inlet.h"

void fw_door_open(fw_shard_t *self)
{
    fw_entrance_t *door = &self->door;
    const fw_gateway_config_t *config = self->config;
    door->users = fw_tally_new(fw_random_next(&self->random));
    door->addresses = fw_tally_new(fw_random_next(&self->random));
    door->trusted = fw_alloc(config->trusted_proxies_count + 1, sizeof *door->trusted);
    for (size_t i = 0; i < config->trusted_proxies_count; i++) {
        int result = fw_address_range_parse(fw_text(config->trusted_proxies[i]),
                                            &door->trusted[door->trusted_count]);
        assert(result == 0); /* fw_gateway_start has looked at them */
        door->trusted_count++;
    }
    fw_watch_open();
}

void fw_door_shut(fw_shard_t *self)
{
    fw_guest_t *next = NULL;
    for (fw_guest_t *guest = self->door.arriving.first; guest; guest = next) {
        next = guest->next;
        if (!guest->connection)
            fw_visitor_dismiss(self, guest);
    }
}

void fw_door_close(fw_shard_t *self)
{
    fw_entrance_t *door = &self->door;
    assert(door->arriving.count == 0 && door->asking.count == 0);
    fw_tally_destroy(&door->users);
    fw_tally_destroy(&door->addresses);
    free(door->trusted);
    fw_inlet_close();
}

bool fw_door_accepts(fw_shard_t *self, int64_t now_ms)
{
    uint32_t rate = self->config->accepts_per_second;
    return rate == 0 || fw_bucket_take(&self->door.accepts, now_ms, rate, rate);
}

/* ------ guests */

void fw_guest_add(fw_guests_t *list, fw_guest_t *guest, int64_t deadline_ms)
{
    guest->deadline_ms = deadline_ms;
    guest->next = NULL;
    guest->previous = list->last;
    if (list->last)
        list->last->next = guest;
    else
        list->first = guest;
    list->last = guest;
    list->count++;
}

void fw_guest_remove(fw_guests_t *list, fw_guest_t *guest)
{
    if (guest->previous)
        guest->previous->next = guest->next;
    else
        list->first = guest->next;
    if (guest->next)
        guest->next->previous = guest->previous;
    else
        list->last = guest->previous;
    list->count--;
}

static void forget_guest(fw_shard_t *self, fw_connection_t *connection)
{
    fw_guest_t *guest = connection->guest;
    if (!guest)
        return;
    fw_guest_remove(guest->asking ? &self->door.asking : &self->door.arriving, guest);
    free(guest);
    connection->guest = NULL;
}

/* Ends what stands behind a guest. */
static void dismiss(fw_shard_t *self, fw_guest_t *guest, fw_refused_t why)
{
    fw_connection_t *connection = guest->connection;
    fw_shard_refused(self, why);
    if (!connection) {
        fw_visitor_dismiss(self, guest);
        return;
    }
    forget_guest(self, connection);
    fw_ws_cut(connection); /* the library notices in the next turn */
}

static void dismiss_late(fw_shard_t *self, fw_guests_t *list, int64_t now_ms)
{
    while (list->first && list->first->deadline_ms <= now_ms)
        dismiss(self, list->first, FW_REFUSED_LATE);
}

void fw_door_tick(fw_shard_t *self, int64_t now_ms)
{
    dismiss_late(self, &self->door.arriving, now_ms);
    dismiss_late(self, &self->door.asking, now_ms);
}

/* ------ arriving */

void fw_door_adopt(fw_shard_t *self, int fd, const fw_address_t *address)
{
    static const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* On failure the library closes the descriptor. */
    struct lws *wsi = lws_adopt_socket_vhost(self->vhost, fd);
    if (!wsi)
        return;
    fw_connection_t *connection = fw_connection_of(wsi);
    fw_guest_t *guest = fw_alloc(1, sizeof *guest);
    connection->fd = fd;
    connection->address = *address;
    connection->guest = guest;
    guest->connection = connection;
    fw_guest_add(&self->door.arriving, guest, fw_clock_ms() + self->config->request_ms);
    fw_inlet_add(fd, connection);
}

void fw_door_arrive(fw_shard_t *self, int fd, const struct sockaddr *address)
{
    fw_entrance_t *door = &self->door;
    fw_address_t peer = fw_address_of(address);
    if (self->connections + door->visitors >= self->sessions_max + FW_CONNECTIONS_SPARE) {
        fw_shard_refused(self, FW_REFUSED_CONNECTIONS);
        (void)close(fd);
        return;
    }
    /* Whoever has waited longest without a request is the least likely to bring one. */
    if (door->arriving.count >= self->config->half_open_max)
        dismiss(self, door->arriving.first, FW_REFUSED_HALF_OPEN);
    if (self->config->proxy_protocol != FW_PROXY_OFF)
        fw_visitor_receive(self, fd, &peer);
    else
        fw_door_adopt(self, fd, &peer);
}

static bool has_body(struct lws *wsi)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 ||
           lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
}

void fw_door_asked(fw_shard_t *self, struct lws *wsi)
{
    fw_entrance_t *door = &self->door;
    fw_connection_t *connection = fw_connection_of(wsi);
    fw_guest_t *guest = connection->guest;
    if (door->trusted_count > 0) {
        char header[FW_HEADERS_BYTES_MAX]; /* whatever the library took fits */
        bool fits = true;
        fw_text_t text =
            fw_http_header(wsi, WSI_TOKEN_X_FORWARDED_FOR, header, sizeof header, &fits);
        connection->address =
            fw_address_forwarded(&connection->address, text, door->trusted, door->trusted_count);
    }
    if (!guest || guest->asking)
        return;
    if (!has_body(wsi)) {
        forget_guest(self, connection);
        return;
    }
    fw_guest_remove(&door->arriving, guest);
    guest->asking = true;
    fw_guest_add(&door->asking, guest, fw_clock_ms() + self->config->body_ms);
}

void fw_door_settled(fw_shard_t *self, fw_connection_t *connection)
{
    forget_guest(self, connection);
}

/* ------ sessions */

static fw_close_t too_many(fw_shard_t *self, fw_refused_t what, const char *reason)
{
    fw_shard_refused(self, what);
    return (fw_close_t){FW_CLOSE_TOO_MANY, reason};
}

/* The key under which sessions of an address are counted. */
static fw_tally_key_t address_key(const fw_connection_t *connection)
{
    fw_address_t client = fw_address_client(&connection->address);
    fw_tally_key_t key;
    _Static_assert(sizeof key == sizeof client, "an address is a key");
    memcpy(&key, &client, sizeof key);
    return key;
}

/* Addresses that many people share, or that are ours, are not counted. */
static bool is_counted(const fw_entrance_t *door, const fw_address_t *address)
{
    return fw_address_known(address) && !fw_address_private(address) &&
           !fw_address_in(address, door->trusted, door->trusted_count);
}

fw_close_t fw_door_enter(fw_shard_t *self, fw_connection_t *connection)
{
    fw_entrance_t *door = &self->door;
    forget_guest(self, connection);
    uint32_t limit = self->config->sessions_per_address_max;
    if (limit > 0 && is_counted(door, &connection->address)) {
        fw_tally_key_t key = address_key(connection);
        if (!fw_tally_add(door->addresses, &key, limit))
            return too_many(self, FW_REFUSED_ADDRESS, "too many sessions from this address");
        connection->address_counted = true;
    }
    return fw_watch_begin(self, connection);
}

fw_close_t fw_door_known(fw_shard_t *self, fw_connection_t *connection)
{
    uint32_t limit = self->config->sessions_per_user_max;
    fw_text_t user = fw_session_user(connection->session);
    fw_shard_sessions_known(self, connection->session);
    if (limit == 0 || connection->user_counted || user.size == 0)
        return FW_CLOSE_NOT;
    fw_tally_key_t key = fw_tally_text(self->door.users, user);
    if (!fw_tally_add(self->door.users, &key, limit))
        return too_many(self, FW_REFUSED_USER, "too many sessions of this user");
    connection->user_counted = true;
    return FW_CLOSE_NOT;
}

void fw_door_leave(fw_shard_t *self, fw_connection_t *connection)
{
    if (connection->address_counted) {
        fw_tally_key_t key = address_key(connection);
        fw_tally_remove(self->door.addresses, &key);
        connection->address_counted = false;
    }
    if (connection->user_counted) {
        fw_tally_key_t key = fw_tally_text(self->door.users, fw_session_user(connection->session));
        fw_tally_remove(self->door.users, &key);
        connection->user_counted = false;
    }
}

void fw_door_gone(fw_shard_t *self, fw_connection_t *connection)
{
    forget_guest(self, connection);
    fw_inlet_remove(connection->fd, connection);
    fw_frame_check_clear(&connection->check);
}
