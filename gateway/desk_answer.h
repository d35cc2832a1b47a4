/* desk_answer.h - bodies of the answers about sessions.   SPDX-License-Identifier: MPL-2.0
 * Pure. The caller frees what is returned. */
#pragma once

#include "proto/bytes.h"

/* 200 when every gateway answered; else a problem that says how many did. */
char *fw_desk_result_answer(uint32_t gateways, uint32_t answered, uint64_t sessions,
                            fw_text_t refused, unsigned *ret_status)
    __attribute__((warn_unused_result));

/* Of the shards' lines (see desk.h), each in the order of their ids: the first of all of them, and
 * where to go on when there may be more. */
char *fw_desk_list_answer(char *const *parts, size_t count, uint32_t limit)
    __attribute__((warn_unused_result));
