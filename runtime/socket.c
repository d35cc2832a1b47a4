/* socket.c - the one place that makes ZeroMQ sockets.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/socket.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"
#include "runtime/context.h"

enum {
    KIB = 1024,
    BACKLOG = 4096, /* a reconnect storm must not lose SYNs */
    CONNECT_TIMEOUT_MS = 2000,
    KEEPALIVE_IDLE_S = 10,
    KEEPALIVE_INTERVAL_S = 3,
    KEEPALIVE_COUNT = 3,
    UNACKNOWLEDGED_MS = 10000, /* TCP_USER_TIMEOUT */
    MESSAGE_BYTES_MIN = 1024,  /* below 276 bytes ZeroMQ's own handshake breaks */
    ENDPOINT_SIZE_MAX = 255,
    LOCAL_RECONNECT_MS = 100,
    LOCAL_RECONNECT_MS_MAX = 1000,
    PEER_ID_SIZE = 5, /* what a ROUTER makes up itself: a 0 and four bytes */
};

static bool binds(fw_socket_role_t role)
{
    return role == FW_SOCKET_ROUTER_BIND || role == FW_SOCKET_XSUB_BIND ||
           role == FW_SOCKET_XPUB_BIND;
}

static int type_of(fw_socket_role_t role)
{
    switch (role) {
    case FW_SOCKET_ROUTER_BIND:
        return ZMQ_ROUTER;
    case FW_SOCKET_DEALER_CONNECT:
        return ZMQ_DEALER;
    case FW_SOCKET_XSUB_BIND:
        return ZMQ_XSUB;
    case FW_SOCKET_XPUB_CONNECT:
    case FW_SOCKET_XPUB_BIND:
        return ZMQ_XPUB;
    case FW_SOCKET_SUB_CONNECT:
        return ZMQ_SUB;
    }
    abort();
}

fw_socket_settings_t fw_socket_settings(fw_socket_role_t role)
{
    fw_socket_settings_t settings = {.role = role, .handshake_ms = 3000};
    if (binds(role)) {
        settings.heartbeat_interval_ms = 1000;
        settings.heartbeat_timeout_ms = 3000;
        settings.message_bytes_max = FW_SOCKET_BIND_BYTES_MAX;
    } else {
        settings.message_bytes_max = FW_SOCKET_CONNECT_BYTES_MAX;
        settings.reconnect_ms =
            1000; /* ZeroMQ's jitter is at most this long, so it must not be short */
        settings.reconnect_ms_max = 8000;
    }
    if (role == FW_SOCKET_ROUTER_BIND || role == FW_SOCKET_XPUB_CONNECT)
        settings.send_hwm = 10000;
    if (role == FW_SOCKET_XPUB_BIND) {
        settings.send_hwm = 100000;
        settings.send_buffer_bytes = 1024 * KIB;
        settings.receive_buffer_bytes =
            64 * KIB; /* subscriptions: what is in it cannot be refused */
    }
    return settings;
}

int fw_socket_check(const fw_socket_settings_t *settings, const char **ret_reason)
{
    const char *reason = NULL;
    bool subscribes =
        settings->role == FW_SOCKET_SUB_CONNECT || settings->role == FW_SOCKET_XSUB_BIND;
    if (settings->send_hwm < 0 || settings->receive_hwm < 0 ||
        settings->heartbeat_interval_ms < 0 || settings->heartbeat_timeout_ms < 0 ||
        settings->handshake_ms < 0 || settings->reconnect_ms < 0 ||
        settings->reconnect_ms_max < 0 || settings->send_buffer_bytes < 0 ||
        settings->receive_buffer_bytes < 0)
        reason = "a setting is negative";
    else if (subscribes && settings->send_hwm != 0)
        reason = "a finite send_hwm on a subscriber silently loses every subscription above it";
    else if (settings->heartbeat_interval_ms != 0 && !binds(settings->role))
        reason = "a heartbeat on a connecting socket can abort the process";
    else if (settings->heartbeat_interval_ms != 0 && settings->receive_hwm != 0)
        reason = "a heartbeat with a finite receive_hwm disconnects healthy peers";
    else if (settings->heartbeat_interval_ms == 0 && settings->heartbeat_timeout_ms != 0)
        reason = "a heartbeat_timeout_ms without heartbeat_interval_ms has no meaning";
    else if (settings->message_bytes_max < MESSAGE_BYTES_MIN)
        reason = "a message_bytes_max below 1024 breaks the handshake";
    if (!reason)
        return 0;
    *ret_reason = reason;
    return -EINVAL;
}

static int set_int(void *raw, int option, int value)
{
    return zmq_setsockopt(raw, option, &value, sizeof value) == 0 ? 0 : -errno;
}

typedef struct {
    int option;
    int value;
} option_t;

static int set_all(void *raw, const option_t *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int result = set_int(raw, options[i].option, options[i].value);
        if (result != 0)
            return result;
    }
    return 0;
}

static int set_common(void *raw, const fw_socket_settings_t *settings)
{
    const option_t options[] = {
        {ZMQ_LINGER, 0}, /* draining is the application's, with a deadline */
        {ZMQ_SNDHWM, settings->send_hwm},
        {ZMQ_RCVHWM, settings->receive_hwm},
        {ZMQ_HANDSHAKE_IVL, settings->handshake_ms},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S},
        {ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_INTERVAL_S},
        {ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT},
        {ZMQ_TCP_MAXRT, UNACKNOWLEDGED_MS},
    };
    int result = set_all(raw, options, sizeof options / sizeof *options);
    if (result != 0)
        return result;
    if (zmq_setsockopt(raw, ZMQ_MAXMSGSIZE, &settings->message_bytes_max,
                       sizeof settings->message_bytes_max) != 0)
        return -errno;
    if (settings->receive_buffer_bytes > 0) {
        result = set_int(raw, ZMQ_RCVBUF, settings->receive_buffer_bytes);
        if (result != 0)
            return result;
    }
    if (settings->send_buffer_bytes > 0)
        return set_int(raw, ZMQ_SNDBUF, settings->send_buffer_bytes);
    return 0;
}

static int set_bound(void *raw, const fw_socket_settings_t *settings)
{
    const option_t options[] = {
        {ZMQ_BACKLOG, BACKLOG},
        {ZMQ_HEARTBEAT_IVL, settings->heartbeat_interval_ms},
        {ZMQ_HEARTBEAT_TIMEOUT, settings->heartbeat_timeout_ms},
    };
    /* Without an interval the timeout's own default stays. */
    size_t count = settings->heartbeat_interval_ms > 0 ? 3 : 1;
    int result = set_all(raw, options, count);
    if (result != 0)
        return result;
    if (settings->role == FW_SOCKET_ROUTER_BIND)
        return set_int(raw, ZMQ_ROUTER_MANDATORY, 1);
    if (settings->role == FW_SOCKET_XPUB_BIND)
        return set_int(raw, ZMQ_XPUB_VERBOSE, 1);
    return 0;
}

static int set_connecting(void *raw, const fw_socket_settings_t *settings, bool local)
{
    int wait_ms = settings->reconnect_ms;
    int wait_ms_max = settings->reconnect_ms_max;
    if (local && wait_ms > LOCAL_RECONNECT_MS)
        wait_ms = LOCAL_RECONNECT_MS;
    if (local && wait_ms_max > LOCAL_RECONNECT_MS_MAX)
        wait_ms_max = LOCAL_RECONNECT_MS_MAX;
    const option_t options[] = {
        {ZMQ_RECONNECT_IVL, wait_ms},
        {ZMQ_RECONNECT_IVL_MAX, wait_ms_max},
        {ZMQ_CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS},
    };
    int result = set_all(raw, options, sizeof options / sizeof *options);
    if (result != 0)
        return result;
    /* Nothing is queued for a peer that is not there: the sender is told instead. */
    if (settings->role != FW_SOCKET_SUB_CONNECT)
        result = set_int(raw, ZMQ_IMMEDIATE, 1);
    if (result == 0 && settings->role == FW_SOCKET_XPUB_CONNECT)
        result = set_int(raw, ZMQ_XPUB_VERBOSER, 1);
    /* It has one peer: what that one does not take is an error, and not dropped. */
    if (result == 0 && settings->role == FW_SOCKET_XPUB_CONNECT)
        result = set_int(raw, ZMQ_XPUB_NODROP, 1);
    return result;
}

/* The next endpoint of a comma-separated list, without the blanks around it. 1, 0 at the end, or
 * -EINVAL. */
static int next_endpoint(const char **list_p, char endpoint[ENDPOINT_SIZE_MAX + 1])
{
    const char *begin = *list_p;
    if (!begin)
        return 0;
    const char *comma = strchrnul(begin, ',');
    *list_p = *comma ? comma + 1 : NULL;
    begin += strspn(begin, " ");
    const char *end = comma;
    while (end > begin && end[-1] == ' ')
        end--;
    if (end <= begin || end - begin > ENDPOINT_SIZE_MAX)
        return -EINVAL;
    memcpy(endpoint, begin, (size_t)(end - begin));
    endpoint[end - begin] = 0;
    return 1;
}

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* ZeroMQ would take port 70000 for 4464. */
static int check_port(const char *endpoint)
{
    if (!begins_with(endpoint, "tcp://"))
        return 0;
    const char *port = strrchr(endpoint, ':') + 1;
    if (strcmp(port, "*") == 0)
        return 0;
    size_t size = strlen(port);
    bool digits = strspn(port, "0123456789") == size;
    return digits && size >= 1 && size <= 5 && strtol(port, NULL, 10) <= 65535 ? 0 : -EINVAL;
}

static bool is_local(const char *endpoint)
{
    return begins_with(endpoint, "inproc://") || begins_with(endpoint, "ipc://") ||
           begins_with(endpoint, "tcp://127.") || begins_with(endpoint, "tcp://localhost:") ||
           begins_with(endpoint, "tcp://[::1]:");
}

/* What a list of endpoints is like. */
typedef struct {
    bool local;  /* all of it is on this machine */
    bool inside; /* all of it is in this process */
    bool ipv6;   /* an IPv6 address is in it */
} kinds_t;

/* Looks at the whole list before anything is opened. */
static int check_all(const char *endpoints, kinds_t *ret_kinds)
{
    char endpoint[ENDPOINT_SIZE_MAX + 1];
    int found;
    *ret_kinds = (kinds_t){.local = true, .inside = true};
    while ((found = next_endpoint(&endpoints, endpoint)) > 0) {
        int result = check_port(endpoint);
        if (result != 0)
            return result;
        ret_kinds->local &= is_local(endpoint);
        ret_kinds->inside &= begins_with(endpoint, "inproc://");
        ret_kinds->ipv6 |= begins_with(endpoint, "tcp://[");
    }
    return found;
}

static int attach_all(void *raw, const fw_socket_settings_t *settings, const char *endpoints)
{
    char endpoint[ENDPOINT_SIZE_MAX + 1];
    int found;
    while ((found = next_endpoint(&endpoints, endpoint)) > 0) {
        int result = binds(settings->role) ? zmq_bind(raw, endpoint) : zmq_connect(raw, endpoint);
        if (result != 0)
            return -errno;
    }
    return found;
}

/* Inside a process there is nobody to hide from, and ZeroMQ makes no handshake there. */
static int set_security(void *raw, const fw_socket_settings_t *settings, bool inside)
{
    if (!settings->security || inside)
        return 0;
    return binds(settings->role) ? fw_security_serve(settings->security, raw, settings->domain)
                                 : fw_security_join(settings->security, raw, settings->server_key);
}

static int set_up(void *raw, const fw_socket_settings_t *settings, const char *endpoints)
{
    kinds_t kinds = {0};
    int result = check_all(endpoints, &kinds);
    if (result == 0)
        result = set_common(raw, settings);
    /* Only when asked for: else a name that has both kinds of address would be tried over IPv6. */
    if (result == 0 && kinds.ipv6)
        result = set_int(raw, ZMQ_IPV6, 1);
    if (result == 0)
        result = binds(settings->role) ? set_bound(raw, settings)
                                       : set_connecting(raw, settings, kinds.local);
    if (result == 0)
        result = set_security(raw, settings, kinds.inside);
    if (result == 0)
        result = attach_all(raw, settings, endpoints);
    /* The one subscription of an XSUB; ZeroMQ repeats it to each peer that comes. */
    if (result == 0 && settings->role == FW_SOCKET_XSUB_BIND && zmq_send(raw, "\x01", 1, 0) != 1)
        result = -errno;
    return result;
}

int fw_socket_open(const fw_socket_settings_t *settings, const char *endpoints,
                   zsock_t **ret_socket)
{
    const char *reason = NULL;
    int result = fw_socket_check(settings, &reason);
    if (result != 0)
        return result;
    (void)fw_context();
    zsock_t *socket = zsock_new(type_of(settings->role));
    if (!socket)
        return -EMFILE;
    result = set_up(zsock_resolve(socket), settings, endpoints);
    if (result != 0) {
        zsock_destroy(&socket);
        return result;
    }
    *ret_socket = socket;
    return 0;
}

char *fw_socket_endpoint(zsock_t *socket)
{
    char endpoint[ENDPOINT_SIZE_MAX + 2] = "";
    size_t size = sizeof endpoint;
    if (zmq_getsockopt(zsock_resolve(socket), ZMQ_LAST_ENDPOINT, endpoint, &size) != 0)
        size = 1;
    return fw_copy_text(endpoint, strnlen(endpoint, size));
}

static int send_frame(void *raw, const void *bytes, size_t size, int flags)
{
    /* zmq_send must not be given NULL, and an empty view may hold one. */
    int sent;
    do
        sent = zmq_send(raw, size ? bytes : "", size, flags | ZMQ_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

int fw_socket_send(zsock_t *socket, fw_bytes_t frame)
{
    return send_frame(zsock_resolve(socket), frame.data, frame.size, 0);
}

int fw_socket_send_to(zsock_t *router, const fw_peer_t *peer, fw_bytes_t frame)
{
    assert(peer->size > 0);
    assert(peer->size <= FW_PEER_SIZE_MAX);
    void *raw = zsock_resolve(router);
    /* With ROUTER_MANDATORY everything that can fail fails here, before the message is begun. */
    int result = send_frame(raw, peer->id, peer->size, ZMQ_SNDMORE);
    return result == 0 ? send_frame(raw, frame.data, frame.size, 0) : result;
}

static int receive_frame(void *raw, zmq_msg_t *frame)
{
    int size;
    do
        size = zmq_msg_recv(frame, raw, ZMQ_DONTWAIT);
    while (size < 0 && errno == EINTR);
    return size < 0 ? -errno : 0;
}

/* 0 when frame was the last one of its message; else drops the others and gives -EBADMSG. */
static int expect_end(void *raw, zmq_msg_t *frame)
{
    if (!zmq_msg_more(frame))
        return 0;
    int result;
    do
        result = receive_frame(raw, frame);
    while (result == 0 && zmq_msg_more(frame));
    return -EBADMSG;
}

int fw_socket_receive(zsock_t *socket, zmq_msg_t *frame)
{
    void *raw = zsock_resolve(socket);
    int result = receive_frame(raw, frame);
    return result == 0 ? expect_end(raw, frame) : result;
}

int fw_socket_receive_from(zsock_t *router, fw_peer_t *ret_peer, zmq_msg_t *frame)
{
    void *raw = zsock_resolve(router);
    int result = receive_frame(raw, frame);
    if (result != 0)
        return result;
    const uint8_t *id = zmq_msg_data(frame);
    /* A peer that chose its own name could take the place of another one, or come back as itself.
     */
    bool made_here = zmq_msg_size(frame) == PEER_ID_SIZE && id[0] == 0 && zmq_msg_more(frame);
    if (!made_here) {
        (void)expect_end(raw, frame);
        return -EBADMSG;
    }
    fw_peer_t peer = {.size = PEER_ID_SIZE};
    memcpy(peer.id, id, PEER_ID_SIZE);
    result = receive_frame(raw, frame);
    if (result == 0)
        result = expect_end(raw, frame);
    if (result == 0)
        *ret_peer = peer;
    return result;
}

fw_text_t fw_socket_user(zmq_msg_t *frame)
{
    return fw_text(zmq_msg_gets(frame, "User-Id"));
}

fw_bytes_t fw_socket_bytes(zmq_msg_t *frame)
{
    return (fw_bytes_t){zmq_msg_data(frame), zmq_msg_size(frame)};
}
