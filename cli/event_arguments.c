/* event_arguments.c - an event from the flags of freshwire publish.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "cli/event_arguments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/alloc.h"

/* Reads up to the limit and one byte more, so that the limit's own check can refuse it. */
static int read_all(int fd, char **ret_data, size_t *ret_size)
{
    size_t limit = FW_PAYLOAD_SIZE_MAX + 1;
    char *data = fw_alloc(limit + 1, 1);
    size_t size = 0;
    while (size < limit) {
        ssize_t got = read(fd, data + size, limit - size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            int result = -errno;
            free(data);
            return result;
        }
        if (got == 0) {
            break;
        }
        size += (size_t)got;
    }
    *ret_data = data;
    *ret_size = size;
    return 0;
}

static int read_file(const char *path, char **ret_data, size_t *ret_size)
{
    if (strcmp(path, "-") == 0) {
        return read_all(STDIN_FILENO, ret_data, ret_size);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int result = read_all(fd, ret_data, ret_size);
    (void)close(fd);
    return result;
}

static int read_data(const char *data, fw_event_arguments_t *event,
                     char ret_error[FW_EVENT_ARGUMENTS_ERROR_SIZE])
{
    if (!data) {
        return 0;
    }
    size_t size = strlen(data);
    if (data[0] == '@') {
        int result = read_file(data + 1, &event->data, &size);
        if (result != 0) {
            (void)snprintf(ret_error, FW_EVENT_ARGUMENTS_ERROR_SIZE, "cannot read %.200s: %s",
                           data + 1, strerror(-result));
            return result;
        }
        data = event->data;
    }
    event->event.data =
        (fw_payload_t){.kind = FW_PAYLOAD_JSON, .bytes = {(const uint8_t *)data, size}};
    return 0;
}

/* Appends a list to texts; *ret_list points into them. */
static size_t take_list(const fw_arguments_t *arguments, const char *name, fw_text_t **next_p,
                        const fw_text_t **ret_list)
{
    const char *const *values = NULL;
    size_t count = fw_arguments_list(arguments, name, &values);
    *ret_list = *next_p;
    for (size_t i = 0; i < count; i++) {
        *(*next_p)++ = fw_text(values[i]);
    }
    return count;
}

int fw_event_arguments_read(const fw_arguments_t *arguments, fw_event_arguments_t *ret_event,
                            char ret_error[FW_EVENT_ARGUMENTS_ERROR_SIZE])
{
    const char *type = fw_arguments_text(arguments, "type");
    if (!type) {
        (void)snprintf(ret_error, FW_EVENT_ARGUMENTS_ERROR_SIZE, "--type is missing");
        return -EINVAL;
    }
    fw_event_arguments_t self = {
        .texts = fw_alloc((size_t)4 * FW_ARGUMENT_VALUES_MAX, sizeof *self.texts)};
    fw_text_t *next = self.texts;
    fw_event_t *event = &self.event;
    event->type = fw_text(type);
    event->id = fw_text(fw_arguments_text(arguments, "id"));
    event->origin = fw_text(fw_arguments_text(arguments, "origin"));
    event->user_id = fw_text(fw_arguments_text(arguments, "user-id"));
    event->exclude.user_id = fw_text(fw_arguments_text(arguments, "exclude-user"));
    event->exclude.origin = fw_text(fw_arguments_text(arguments, "exclude-origin"));
    event->audience_count = take_list(arguments, "channel", &next, &event->audience);
    event->invalidate.keys_count = take_list(arguments, "key", &next, &event->invalidate.keys);
    event->invalidate.tags_count = take_list(arguments, "tag", &next, &event->invalidate.tags);
    event->invalidate.patterns_count =
        take_list(arguments, "pattern", &next, &event->invalidate.patterns);
    int result = read_data(fw_arguments_text(arguments, "data"), &self, ret_error);
    if (result != 0) {
        fw_event_arguments_clear(&self);
        return result;
    }
    *ret_event = self;
    return 0;
}

void fw_event_arguments_clear(fw_event_arguments_t *self)
{
    free(self->texts);
    free(self->data);
    *self = (fw_event_arguments_t){.texts = NULL};
}
