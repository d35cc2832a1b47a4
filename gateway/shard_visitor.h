/* shard_visitor.h - a connection whose PROXY header is being read; only then does libwebsockets get
 * it.   SPDX-License-Identifier: MPL-2.0
 * Part of the shard's door; for nobody else. */
#pragma once

#include "gateway/shard_door.h"

/* Takes fd; the rest of its bytes stay in the socket. */
void fw_visitor_receive(fw_shard_t *self, int fd, const fw_address_t *peer);
/* Closes the connection of a guest that has none in the library. */
void fw_visitor_dismiss(fw_shard_t *self, fw_guest_t *guest);

/* shard_door.c */
void fw_door_adopt(fw_shard_t *self, int fd, const fw_address_t *address);
void fw_guest_add(fw_guests_t *list, fw_guest_t *guest, int64_t deadline_ms);
void fw_guest_remove(fw_guests_t *list, fw_guest_t *guest);
