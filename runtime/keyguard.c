/* keyguard.c - see keyguard.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/keyguard.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/alloc.h"
#include "runtime/cut.h"
#include "runtime/hash.h"
#include "runtime/link_metrics.h"
#include "runtime/log.h"
#include "runtime/socket.h"

typedef struct {
    char key[FW_KEY_SIZE];
    fw_domain_t domain;
    int64_t seen_ms; /* the last message */
} owner_t;

/* A descriptor and the two keys that it was last seen with. There are as many as descriptors. */
typedef struct {
    int fd;
    owner_t now;
    owner_t before;
    int64_t since_ms; /* since when it is now's */
    UT_hash_handle hh;
} connection_t;

struct fw_keyguard {
    const fw_security_t *security;
    uint64_t generation;
    fw_keyring_t *keyring;
    connection_t *connections;
    in_port_t ports[FW_DOMAINS]; /* 0 = unknown */
    fw_link_metrics_t metrics;
    fw_log_limit_t logged;
};

fw_keyguard_t *fw_keyguard_new(const fw_security_t *security, fw_metrics_t *metrics)
{
    fw_keyguard_t *self = fw_alloc(1, sizeof *self);
    self->security = security;
    self->generation = fw_security_generation(security);
    self->keyring = fw_security_keyring(security);
    self->metrics = fw_link_metrics_make(metrics);
    return self;
}

static void forget(fw_keyguard_t *self, connection_t *connection)
{
    HASH_DELETE(hh, self->connections, connection);
    free(connection);
}

void fw_keyguard_destroy(fw_keyguard_t **self_p)
{
    fw_keyguard_t *self = *self_p;
    if (!self)
        return;
    while (self->connections)
        forget(self, self->connections);
    fw_keyring_destroy(&self->keyring);
    free(self);
    *self_p = NULL;
}

void fw_keyguard_watch(fw_keyguard_t *self, fw_domain_t domain, zsock_t *bound)
{
    self->ports[domain] = fw_cut_port(bound);
}

static void cut(fw_keyguard_t *self, int fd, fw_domain_t domain, const char *key, int64_t now_ms)
{
    char shown[FW_KEY_SHOWN + 1] = "";
    uint64_t suppressed = 0;
    if (!fw_cut(fd, self->ports[domain]))
        return;
    fw_counter_add(self->metrics.cut[domain], 1);
    memcpy(shown, key, FW_KEY_SHOWN);
    if (fw_log_limited(&self->logged, now_ms, &suppressed)) {
        fw_log(FW_LOG_WARN, "connection cut: its key is not in security.peers any more",
               FW_KV_TEXT("door", fw_domain_name(domain)), FW_KV_TEXT("key", shown),
               FW_KV_UINT("suppressed", suppressed));
    }
}

static bool is_owner(const owner_t *owner, fw_domain_t domain, fw_text_t key)
{
    return owner->domain == domain && memcmp(owner->key, key.text, FW_KEY_SIZE) == 0;
}

static void remember(fw_keyguard_t *self, int fd, fw_domain_t domain, fw_text_t key, int64_t now_ms)
{
    connection_t *connection;
    HASH_FIND_INT(self->connections, &fd, connection);
    if (!connection) {
        connection = fw_alloc(1, sizeof *connection);
        connection->fd = fd;
        connection->before.seen_ms = INT64_MIN / 2;
        connection->since_ms = now_ms;
        memcpy(connection->now.key, key.text, FW_KEY_SIZE);
        connection->now.domain = domain;
        HASH_ADD_INT(self->connections, fd, connection);
    } else if (!is_owner(&connection->now, domain, key)) {
        connection->before = connection->now;
        connection->since_ms = now_ms;
        memcpy(connection->now.key, key.text, FW_KEY_SIZE);
        connection->now.domain = domain;
    }
    connection->now.seen_ms = now_ms;
}

/* A socket in this process has sent it: a connection would have said of what type it is. */
static bool is_inside(zmq_msg_t *frame)
{
    return !zmq_msg_gets(frame, "Socket-Type");
}

int fw_keyguard_look(fw_keyguard_t *self, fw_domain_t domain, zmq_msg_t *frame, int64_t now_ms,
                     const fw_holder_t **ret_holder)
{
    fw_text_t key = fw_socket_user(frame);
    int fd = zmq_msg_get(frame, ZMQ_SRCFD);
    *ret_holder = NULL;
    if (key.size == 0 && is_inside(frame))
        return 0;
    if (fw_keyring_judge(self->keyring, domain, key, ret_holder) == FW_VERDICT_ADMITTED) {
        if (fd >= 0)
            remember(self, fd, domain, key, now_ms);
        return 0;
    }
    *ret_holder = NULL;
    fw_counter_add(self->metrics.removed[domain], 1);
    if (fd >= 0)
        cut(self, fd, domain, key.size == FW_KEY_SIZE ? key.text : "(no key)", now_ms);
    return -EACCES;
}

const fw_holder_t *fw_keyguard_holder(const fw_keyguard_t *self, fw_text_t key)
{
    const fw_holder_t *holder = NULL;
    (void)fw_keyring_judge(self->keyring, FW_DOMAIN_FIRE, key, &holder);
    return holder;
}

static bool is_admitted(const fw_keyguard_t *self, const owner_t *owner)
{
    const fw_holder_t *holder = NULL;
    char key[FW_KEY_SIZE + 1] = "";
    memcpy(key, owner->key, FW_KEY_SIZE);
    return fw_keyring_judge(self->keyring, owner->domain, (fw_text_t){key, FW_KEY_SIZE}, &holder) ==
           FW_VERDICT_ADMITTED;
}

void fw_keyguard_refresh(fw_keyguard_t *self, int64_t now_ms)
{
    uint64_t generation = fw_security_generation(self->security);
    connection_t *connection, *next;
    if (generation == self->generation)
        return;
    self->generation = generation;
    fw_keyring_destroy(&self->keyring);
    self->keyring = fw_security_keyring(self->security);
    HASH_ITER(hh, self->connections, connection, next)
    {
        /* Around a change of hands it is not known which of both has it now. */
        bool in_doubt = connection->since_ms - connection->before.seen_ms < FW_KEYGUARD_OVERLAP_MS;
        const owner_t *owner = NULL;
        if (!is_admitted(self, &connection->now))
            owner = &connection->now;
        else if (in_doubt && !is_admitted(self, &connection->before))
            owner = &connection->before;
        if (owner) {
            cut(self, connection->fd, owner->domain, owner->key, now_ms);
            forget(self, connection);
        }
    }
}
