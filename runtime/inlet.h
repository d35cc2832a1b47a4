/* inlet.h - looks at what a library reads from a socket before the library does.
 * SPDX-License-Identifier: MPL-2.0
 * For libraries that read with recv(2) and cannot be asked: the program's own recv stands before
 * the C library's. Only sockets that the calling thread has added are looked at; for all others it
 * is the plain call. Everything here belongs to the calling thread. docs/decisions/0023 says why.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sees bytes that have been read, and may take some out; returns how many of what is left, from the
 * first, the reader may have. The rest is dropped: to the reader it is as if no more had come. */
typedef size_t fw_inlet_fn(void *context, uint8_t *bytes, size_t size);

/* Begins; nothing is looked at yet. */
void fw_inlet_open(fw_inlet_fn *look);
/* Forgets every socket. */
void fw_inlet_close(void);

/* From now on context is told what is read from fd. One that had this number before is forgotten.
 */
void fw_inlet_add(int fd, void *context);
/* Unless the number belongs to another context by now. */
void fw_inlet_remove(int fd, const void *context);

/* For what is read otherwise, from TLS: true when the socket is looked at; then *ret_passed is how
 * much the reader may have. */
bool fw_inlet_look(int fd, void *bytes, size_t size, size_t *ret_passed);
