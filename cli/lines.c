/* lines.c - lines of a file descriptor, bounded, without blocking.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "cli/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/alloc.h"

struct fw_lines {
    int fd;
    size_t line_size_max;
    char *buffer; /* line_size_max + 2 bytes: a line end and a closing 0 */
    size_t begin; /* of what has not been returned */
    size_t end;
    bool dropping; /* the rest of a line that is too long */
    bool ended;
    uint64_t number;
};

fw_lines_t *fw_lines_new(int fd, size_t line_size_max)
{
    fw_lines_t *self = fw_alloc(1, sizeof *self);
    self->fd = fd;
    self->line_size_max = line_size_max;
    self->buffer = fw_alloc(line_size_max + 2, 1);
    return self;
}

void fw_lines_destroy(fw_lines_t **self_p)
{
    fw_lines_t *self = *self_p;
    if (!self) {
        return;
    }
    free(self->buffer);
    free(self);
    *self_p = NULL;
}

int fw_lines_read(fw_lines_t *self)
{
    memmove(self->buffer, self->buffer + self->begin, self->end - self->begin);
    self->end -= self->begin;
    self->begin = 0;
    size_t room = self->line_size_max + 1 - self->end;
    if (self->ended || room == 0) {
        return 0;
    }
    ssize_t got = read(self->fd, self->buffer + self->end, room);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
        return 0;
    }
    if (got <= 0) {
        self->ended = true;
        return got < 0 ? -errno : 0;
    }
    self->end += (size_t)got;
    return 0;
}

static fw_lines_result_t take(fw_lines_t *self, size_t size, size_t skip, char **ret_line,
                              size_t *ret_size)
{
    char *line = self->buffer + self->begin;
    self->begin += size + skip;
    self->number++;
    if (self->dropping) {
        self->dropping = false;
        return FW_LINES_TOO_LONG;
    }
    if (size > 0 && line[size - 1] == '\r') {
        size--;
    }
    line[size] = '\0';
    *ret_line = line;
    *ret_size = size;
    return FW_LINES_LINE;
}

fw_lines_result_t fw_lines_next(fw_lines_t *self, char **ret_line, size_t *ret_size)
{
    size_t size = self->end - self->begin;
    const char *line_end = size ? memchr(self->buffer + self->begin, '\n', size) : NULL;
    if (line_end) {
        return take(self, (size_t)(line_end - self->buffer) - self->begin, 1, ret_line, ret_size);
    }
    if (size > self->line_size_max) {
        self->dropping = true;
    }
    if (self->dropping) {
        self->begin = self->end;
        size = 0;
    }
    if (!self->ended) {
        return FW_LINES_WAIT;
    }
    /* The last line may lack its line end. */
    return size > 0 || self->dropping ? take(self, size, 0, ret_line, ret_size) : FW_LINES_END;
}

uint64_t fw_lines_number(const fw_lines_t *self)
{
    return self->number;
}
