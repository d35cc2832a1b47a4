/* event_line.h - a released event as one line for people or programs.   SPDX-License-Identifier:
 * MPL-2.0 */
#pragma once

#include <stdio.h>

#include "proto/codec.h"

typedef enum {
    FW_EVENT_LINE_JSON,   /* the object that browsers get */
    FW_EVENT_LINE_TEXT,   /* time, channel and offset, type, data, what else there is */
    FW_EVENT_LINE_COLOUR, /* the same, for a terminal */
} fw_event_line_style_t;

/* Never more than one line, and nothing that a terminal would obey but our own colours. */
void fw_event_line_print(FILE *out, fw_event_line_style_t style, const fw_delivery_t *delivery,
                         const fw_publication_t *publication);
