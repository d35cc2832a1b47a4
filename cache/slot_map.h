/* slot_map.h - which server of a Redis Cluster holds which key.   SPDX-License-Identifier: MPL-2.0
 * Pure. Made from what CLUSTER SLOTS answers. */
#pragma once

#include "proto/bytes.h"

enum {
    FW_REDIS_HOST_SIZE_MAX = 255,
    FW_SLOTS = 16384,
    FW_SLOT_SERVERS_MAX = 128, /* primaries; the slots of further ones have no server */
    FW_SLOT_NO_SERVER = 0xffff,
};

typedef struct {
    char host[FW_REDIS_HOST_SIZE_MAX + 1];
    int port;
} fw_slot_server_t;

typedef struct {
    fw_slot_server_t servers[FW_SLOT_SERVERS_MAX];
    size_t servers_count;
    uint16_t owners[FW_SLOTS]; /* indexes of servers, or FW_SLOT_NO_SERVER */
} fw_slot_map_t;

/* The slot of a key: of what stands in its first pair of braces, if that is something. */
uint16_t fw_slot_of(fw_text_t key);

void fw_slot_map_clear(fw_slot_map_t *self);
/* Notes that a server holds the slots from first to last. False when that cannot be. */
bool fw_slot_map_add(fw_slot_map_t *self, int64_t first, int64_t last, const char *host,
                     int64_t port);
/* The server of a slot, or NULL. */
const fw_slot_server_t *fw_slot_map_server(const fw_slot_map_t *self, uint16_t slot);

/* Does it hold any slot? */
bool fw_slot_map_has(const fw_slot_map_t *self, const fw_slot_server_t *server);

/* Reads where a reply "MOVED slot host:port" or "ASK slot host:port" points; the host may be empty,
 * which means the one that answered. False when it does not. */
bool fw_slot_redirect(const char *text, fw_slot_server_t *ret_server);
