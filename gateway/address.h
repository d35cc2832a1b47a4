/* address.h - where a client connects from, and which addresses are trusted to say so for another.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. An address has no port; IPv4 is kept as IPv6 does (::ffff:a.b.c.d). */
#pragma once

#include <netinet/in.h>

#include "proto/bytes.h"

enum { FW_ADDRESS_TEXT_SIZE = INET6_ADDRSTRLEN };

typedef struct {
    uint8_t bytes[16]; /* all zero: unknown */
} fw_address_t;

typedef struct {
    fw_address_t address;
    uint8_t bits; /* of it that count, 0..128 */
} fw_address_range_t;

/* An address from a socket; unknown when it is not of the Internet. */
fw_address_t fw_address_of(const struct sockaddr *address);
fw_address_t fw_address_ipv4(const uint8_t bytes[4]);
/* "192.0.2.1", "2001:db8::1", also with brackets and with a port. 0 or -EINVAL. */
int fw_address_parse(fw_text_t text, fw_address_t *ret_address) __attribute__((warn_unused_result));
/* "10.0.0.0/8", "fd00::/8", or an address alone. 0 or -EINVAL; bits beyond the length must be 0. */
int fw_address_range_parse(fw_text_t text, fw_address_range_t *ret_range)
    __attribute__((warn_unused_result));

bool fw_address_known(const fw_address_t *self);
bool fw_address_in(const fw_address_t *self, const fw_address_range_t *ranges, size_t count);
/* Not of the public Internet: loopback, RFC 1918, shared (100.64/10), link-local, unique local. */
bool fw_address_private(const fw_address_t *self);
/* What belongs to one client: an IPv4 address, or the /64 of an IPv6 address. */
fw_address_t fw_address_client(const fw_address_t *self);
/* For people. */
void fw_address_print(const fw_address_t *self, char ret_text[FW_ADDRESS_TEXT_SIZE]);

/* Who asked, when peer is a trusted proxy that says X-Forwarded-For: the right-most address that is
 * not trusted. What is no address, and everything left of it, is not believed. */
fw_address_t fw_address_forwarded(const fw_address_t *peer, fw_text_t forwarded_for,
                                  const fw_address_range_t *trusted, size_t count);
