/* lines.h - lines of a file descriptor, bounded, without blocking.   SPDX-License-Identifier:
 * MPL-2.0 A line that is too long is dropped up to its end and reported once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fw_lines fw_lines_t;

typedef enum {
    FW_LINES_LINE,     /* one line, without its line end */
    FW_LINES_TOO_LONG, /* a line was dropped */
    FW_LINES_WAIT,     /* poll the descriptor, then call fw_lines_read */
    FW_LINES_END,      /* nothing more will come */
} fw_lines_result_t;

/* The descriptor stays the caller's. line_size_max without the line end. */
fw_lines_t *fw_lines_new(int fd, size_t line_size_max) __attribute__((warn_unused_result));
void fw_lines_destroy(fw_lines_t **self_p);

/* Reads once, which does not wait if the descriptor is readable. 0, or a negative errno (then END
 * follows). */
int fw_lines_read(fw_lines_t *self) __attribute__((warn_unused_result));
/* The next line, with a closing 0, borrowed until the next call of read. */
fw_lines_result_t fw_lines_next(fw_lines_t *self, char **ret_line, size_t *ret_size)
    __attribute__((warn_unused_result));
/* Number of the line (or dropped line) that was returned last, from 1. */
uint64_t fw_lines_number(const fw_lines_t *self);
