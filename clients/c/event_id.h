/* event_id.h - ids for events whose publisher gave none.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "proto/bytes.h"

enum { FW_EVENT_ID_RANDOM_SIZE = 36 };

/* Writes a random UUID (RFC 9562, version 4) with a closing 0 to buffer and returns it. Any thread.
 */
fw_text_t fw_event_id_random(char buffer[FW_EVENT_ID_RANDOM_SIZE + 1]);
