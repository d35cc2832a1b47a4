/* slot_map.c - which server of a Redis Cluster holds which key.   SPDX-License-Identifier: MPL-2.0
 */
#include "cache/slot_map.h"

#include <stdlib.h>
#include <string.h>

enum { PORT_MAX = 65535 };

/* CRC-16/XMODEM: polynomial 0x1021, most significant bit first, from 0. */
static uint16_t crc16(const char *bytes, size_t size)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < size; i++) {
        crc ^= (uint32_t)(uint8_t)bytes[i] << 8;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
        }
    }
    return (uint16_t)(crc & 0xffff);
}

uint16_t fw_slot_of(fw_text_t key)
{
    const char *open = memchr(key.text, '{', key.size);
    if (open) {
        const char *tag = open + 1;
        const char *close = memchr(tag, '}', key.size - (size_t)(tag - key.text));
        if (close && close > tag) {
            return crc16(tag, (size_t)(close - tag)) & (FW_SLOTS - 1);
        }
    }
    return crc16(key.text, key.size) & (FW_SLOTS - 1);
}

void fw_slot_map_clear(fw_slot_map_t *self)
{
    self->servers_count = 0;
    for (size_t i = 0; i < FW_SLOTS; i++) {
        self->owners[i] = FW_SLOT_NO_SERVER;
    }
}

static bool make_server(const char *host, size_t host_size, int64_t port,
                        fw_slot_server_t *ret_server)
{
    if (host_size > FW_REDIS_HOST_SIZE_MAX || port < 1 || port > PORT_MAX) {
        return false;
    }
    *ret_server = (fw_slot_server_t){.port = (int)port};
    memcpy(ret_server->host, host, host_size);
    return true;
}

/* servers_count when it is not there. */
static size_t find(const fw_slot_map_t *self, const fw_slot_server_t *server)
{
    size_t index = 0;
    while (index < self->servers_count && (self->servers[index].port != server->port ||
                                           strcmp(self->servers[index].host, server->host) != 0)) {
        index++;
    }
    return index;
}

bool fw_slot_map_has(const fw_slot_map_t *self, const fw_slot_server_t *server)
{
    return find(self, server) < self->servers_count;
}

bool fw_slot_map_add(fw_slot_map_t *self, int64_t first, int64_t last, const char *host,
                     int64_t port)
{
    fw_slot_server_t server;
    if (first < 0 || last < first || last >= FW_SLOTS || !*host ||
        !make_server(host, strlen(host), port, &server)) {
        return false;
    }
    size_t index = find(self, &server);
    if (index == FW_SLOT_SERVERS_MAX) {
        return false;
    }
    if (index == self->servers_count) {
        self->servers[self->servers_count++] = server;
    }
    for (int64_t slot = first; slot <= last; slot++) {
        self->owners[slot] = (uint16_t)index;
    }
    return true;
}

const fw_slot_server_t *fw_slot_map_server(const fw_slot_map_t *self, uint16_t slot)
{
    uint16_t owner = slot < FW_SLOTS ? self->owners[slot] : FW_SLOT_NO_SERVER;
    return owner == FW_SLOT_NO_SERVER ? NULL : &self->servers[owner];
}

bool fw_slot_redirect(const char *text, fw_slot_server_t *ret_server)
{
    size_t skipped = strncmp(text, "MOVED ", 6) == 0 ? 6 : strncmp(text, "ASK ", 4) == 0 ? 4 : 0;
    if (skipped == 0) {
        return false;
    }
    text += skipped;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] != ' ') {
        return false;
    }
    const char *host = text + digits + 1;
    const char *end = host + strcspn(host, " \r\n");
    const char *colon = memrchr(host, ':', (size_t)(end - host));
    if (!colon) {
        return false;
    }
    char *port_end = NULL;
    long port = strtol(colon + 1, &port_end, 10);
    return port_end == end && port_end > colon + 1 &&
           make_server(host, (size_t)(colon - host), port, ret_server);
}
