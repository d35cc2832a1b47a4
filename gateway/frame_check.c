/* frame_check.c - see frame_check.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/frame_check.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"

enum {
    OPCODE_CONTINUATION = 0,
    OPCODE_BINARY = 2,
    OPCODE_CLOSE = 8,
    OPCODE_PING = 9,
    OPCODE_PONG = 10,
    CONTROL_MAX = 125,
    FINAL = 0x80,
    RESERVED = 0x70,
    OPCODE = 0x0f,
    CONTROL = 0x08,
    MASKED = 0x80,
    LENGTH = 0x7f,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
    MASK_SIZE = 4,
};

static fw_close_t broken(const char *reason)
{
    return (fw_close_t){FW_CLOSE_PROTOCOL, reason};
}

bool fw_close_code_valid(unsigned code)
{
    if (code >= 1000 && code <= 1014)
        return code != 1004 && code != 1005 && code != 1006;
    return code >= 3000 && code <= 4999;
}

static unsigned opcode_of(const fw_frame_check_t *self)
{
    return self->head[0] & OPCODE;
}

/* Of the head, as far as its second byte tells. */
static unsigned head_size(const fw_frame_check_t *self)
{
    unsigned length = self->head[1] & LENGTH;
    return 2U + MASK_SIZE + (length == LENGTH_16 ? 2U : length == LENGTH_64 ? 8U : 0U);
}

static fw_close_t check_first(const fw_frame_check_t *self)
{
    unsigned opcode = opcode_of(self);
    bool control = opcode & CONTROL;
    if (self->head[0] & RESERVED)
        return broken("reserved bits without an extension");
    if (opcode > OPCODE_PONG || (opcode > OPCODE_BINARY && !control))
        return broken("reserved opcode");
    if (control)
        return self->head[0] & FINAL ? FW_CLOSE_NOT : broken("a control frame in pieces");
    if (opcode == OPCODE_CONTINUATION && !self->in_message)
        return broken("nothing to continue");
    if (opcode != OPCODE_CONTINUATION && self->in_message)
        return broken("a message inside another one");
    return FW_CLOSE_NOT;
}

static fw_close_t check_second(const fw_frame_check_t *self)
{
    if (!(self->head[1] & MASKED))
        return broken("a client's frame without a mask");
    if ((opcode_of(self) & CONTROL) && (self->head[1] & LENGTH) >= LENGTH_16)
        return broken("a control frame of more than 125 bytes");
    return FW_CLOSE_NOT;
}

static uint64_t number(const uint8_t *bytes, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* The head is complete. */
static fw_close_t begin_payload(fw_frame_check_t *self, const fw_frame_rules_t *rules,
                                int64_t now_ms)
{
    uint64_t message_bytes_max = rules->message_bytes_max;
    unsigned length = self->head[1] & LENGTH;
    bool control = opcode_of(self) & CONTROL;
    bool final = self->head[0] & FINAL;
    self->left = length;
    if (length == LENGTH_16)
        self->left = number(self->head + 2, 2);
    else if (length == LENGTH_64)
        self->left = number(self->head + 2, 8);
    if ((length == LENGTH_16 && self->left < LENGTH_16) ||
        (length == LENGTH_64 && (self->left <= UINT16_MAX || self->left > INT64_MAX)))
        return broken("a length that is not the shortest");
    if ((control || !final) &&
        !fw_bucket_take(&self->extra, now_ms, FW_EXTRA_FRAMES_PER_SECOND, FW_EXTRA_FRAMES_BURST))
        return (fw_close_t){FW_CLOSE_TOO_MANY, "too many frames"};
    self->seen = 0;
    if (opcode_of(self) == OPCODE_CLOSE && self->left == 1)
        return broken("half a close code");
    if (!control) {
        if (self->left > message_bytes_max || self->message > message_bytes_max - self->left)
            return (fw_close_t){FW_CLOSE_TOO_BIG, "message is too big"};
        self->message = final ? 0 : self->message + self->left;
        self->in_message = !final;
    }
    self->in_payload = true;
    return FW_CLOSE_NOT;
}

/* One byte of UTF-8 (table 3-7 of the Unicode Standard); false when it cannot be. */
static bool take_text(fw_frame_check_t *self, uint8_t c)
{
    if (self->continues > 0) {
        bool fits = c >= self->low && c <= self->high;
        self->low = 0x80;
        self->high = 0xbf;
        self->continues--;
        return fits;
    }
    self->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    self->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (c >= 0xc2 && c <= 0xdf)
        self->continues = 1;
    else if (c >= 0xe0 && c <= 0xef)
        self->continues = 2;
    else if (c >= 0xf0 && c <= 0xf4)
        self->continues = 3;
    else
        return c < 0x80;
    return true;
}

static fw_close_t take_close(fw_frame_check_t *self, uint8_t byte)
{
    const uint8_t *mask = self->head + head_size(self) - MASK_SIZE;
    uint8_t plain = byte ^ mask[self->seen % MASK_SIZE];
    self->seen++;
    if (self->seen == 1)
        self->first = plain;
    else if (self->seen == 2 && !fw_close_code_valid((unsigned)self->first << 8 | plain))
        return broken("a close code that is none");
    else if (self->seen > 2 && !take_text(self, plain))
        return (fw_close_t){FW_CLOSE_BAD_TEXT, "a close reason that is not UTF-8"};
    return FW_CLOSE_NOT;
}

/* Some of a ping's payload. */
static void take_ping(fw_frame_check_t *self, const fw_frame_rules_t *rules, const uint8_t *bytes,
                      size_t size)
{
    const uint8_t *mask = self->head + head_size(self) - MASK_SIZE;
    uint8_t whole[CONTROL_MAX];
    uint8_t *plain = whole;
    if (size < self->left || self->ping) {
        if (!self->ping)
            self->ping = fw_alloc(CONTROL_MAX, 1);
        plain = self->ping;
    }
    for (size_t i = 0; i < size; i++, self->seen++)
        plain[self->seen] = bytes[i] ^ mask[self->seen % MASK_SIZE];
    if (size < self->left)
        return;
    if (rules->pinged)
        rules->pinged(rules->context, (fw_bytes_t){plain, self->seen});
    fw_frame_check_clear(self);
}

static fw_close_t end_frame(fw_frame_check_t *self)
{
    bool close = opcode_of(self) == OPCODE_CLOSE;
    self->removed = false;
    self->in_payload = false;
    self->filled = 0;
    self->closed = close;
    if (close && self->continues > 0)
        return (fw_close_t){FW_CLOSE_BAD_TEXT, "a close reason that is not UTF-8"};
    return FW_CLOSE_NOT;
}

/* One byte of the head. */
static fw_close_t take_head(fw_frame_check_t *self, const fw_frame_rules_t *rules, int64_t now_ms,
                            uint8_t byte)
{
    self->head[self->filled++] = byte;
    if (self->filled == 1) {
        self->removed = opcode_of(self) == OPCODE_PING && rules->pinged;
        return check_first(self);
    }
    if (self->filled == 2)
        return check_second(self);
    if (self->filled == 3 && (self->head[1] & LENGTH) == LENGTH_64 && (byte & 0x80))
        return broken("a length of more than 63 bits");
    if (self->filled < head_size(self))
        return FW_CLOSE_NOT;
    return begin_payload(self, rules, now_ms);
}

/* Some of the payload: returns how many bytes. */
static size_t take_payload(fw_frame_check_t *self, const fw_frame_rules_t *rules,
                           const uint8_t *bytes, size_t size, fw_close_t *ret_close)
{
    size_t taken = self->left < size ? (size_t)self->left : size;
    if (opcode_of(self) == OPCODE_CLOSE) {
        for (size_t i = 0; i < taken && ret_close->code == FW_CLOSE_NONE; i++)
            *ret_close = take_close(self, bytes[i]);
    } else if (self->removed) {
        take_ping(self, rules, bytes, taken);
    }
    self->left -= taken;
    return taken;
}

fw_close_t fw_frame_check(fw_frame_check_t *self, const fw_frame_rules_t *rules, int64_t now_ms,
                          uint8_t *bytes, size_t size, size_t *ret_good)
{
    fw_close_t close = FW_CLOSE_NOT;
    size_t kept = 0;
    *ret_good = 0;
    for (size_t i = 0, taken = 0; i < size && !self->closed; i += taken) {
        bool was_in_payload = self->in_payload;
        if (was_in_payload) {
            taken = take_payload(self, rules, bytes + i, size - i, &close);
        } else {
            taken = 1;
            close = take_head(self, rules, now_ms, bytes[i]);
        }
        if (!self->removed) {
            if (kept < i)
                memmove(bytes + kept, bytes + i, taken);
            kept += taken;
        }
        if (close.code == FW_CLOSE_NONE && self->in_payload && self->left == 0) {
            if (self->removed && !was_in_payload)
                take_ping(self, rules, bytes, 0); /* an empty one */
            close = end_frame(self);
        }
        if (close.code != FW_CLOSE_NONE)
            return close;
        *ret_good = kept;
    }
    return FW_CLOSE_NOT;
}

void fw_frame_check_clear(fw_frame_check_t *self)
{
    free(self->ping);
    self->ping = NULL;
}
