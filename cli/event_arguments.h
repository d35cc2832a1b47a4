/* event_arguments.h - an event from the flags of freshwire publish.   SPDX-License-Identifier:
 * MPL-2.0 */
#pragma once

#include "cli/arguments.h"
#include "proto/codec.h"

typedef struct {
    fw_event_t event; /* borrows from the arguments and from the members below */
    fw_text_t *texts;
    char *data;
} fw_event_arguments_t;

enum { FW_EVENT_ARGUMENTS_ERROR_SIZE = 300 };

/* 0: clear it after use. -EINVAL, or what reading --data @FILE gave, with ret_error. Whether the
 * event keeps the rules is for fw_event_check. */
int fw_event_arguments_read(const fw_arguments_t *arguments, fw_event_arguments_t *ret_event,
                            char ret_error[FW_EVENT_ARGUMENTS_ERROR_SIZE])
    __attribute__((warn_unused_result));
void fw_event_arguments_clear(fw_event_arguments_t *self);
