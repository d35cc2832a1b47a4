/* ack_json.h - what became of a published event, as one JSON line.   SPDX-License-Identifier:
 * MPL-2.0 Pure. The members are those of POST /v1/events, with "status" before them. */
#pragma once

#include "proto/codec.h"

/* error: of fw_publisher_done_fn; ack may be NULL then. The caller frees the text. */
char *fw_ack_json(int error, const fw_publish_ack_t *ack) __attribute__((warn_unused_result));
