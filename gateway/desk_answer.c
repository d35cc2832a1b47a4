/* desk_answer.c - see desk_answer.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/desk_answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/session_messages.h"
#include "runtime/admin_request.h"
#include "runtime/alloc.h"

enum { PARTS_MAX = 32 };

char *fw_desk_result_answer(uint32_t gateways, uint32_t answered, uint64_t sessions,
                            fw_text_t refused, unsigned *ret_status)
{
    char detail[128];
    char counts[128];
    (void)snprintf(counts, sizeof counts,
                   "\"gateways\":%" PRIu32 ",\"answered\":%" PRIu32 ",\"sessions\":%" PRIu64 "}\n",
                   gateways, answered, sessions);
    if (refused.size > 0) {
        (void)snprintf(detail, sizeof detail, "%.*s", (int)(refused.size & 127), refused.text);
        *ret_status = strcmp(detail, "too many commands") == 0 ? 429 : 503;
        return fw_admin_problem(*ret_status, detail, NULL);
    }
    *ret_status = answered == gateways ? 200 : 504;
    char *body;
    if (*ret_status == 200) {
        body = fw_alloc(1, strlen(counts) + 2);
        (void)snprintf(body, strlen(counts) + 2, "{%s", counts);
        return body;
    }
    (void)snprintf(detail, sizeof detail,
                   "%" PRIu32 " of %" PRIu32 " gateways did not answer: ask again",
                   gateways - answered, gateways);
    char *problem = fw_admin_problem(504, detail, NULL);
    size_t size = strlen(problem) - strlen("}\n");
    body = fw_alloc(1, size + strlen(counts) + 2);
    (void)snprintf(body, size + strlen(counts) + 2, "%.*s,%s", (int)size, problem, counts);
    free(problem);
    return body;
}

/* The part whose next line has the smallest id; count when all are at their end. */
static size_t choose(const char *const *at, size_t count)
{
    size_t best = count;
    for (size_t i = 0; i < count; i++) {
        if (*at[i] != '\0' && (best == count || memcmp(at[i], at[best], FW_SESSION_ID_DIGITS) < 0))
            best = i;
    }
    return best;
}

char *fw_desk_list_answer(char *const *parts, size_t count, uint32_t limit)
{
    const char *at[PARTS_MAX];
    size_t size = sizeof "{\"sessions\":[],\"next\":\"\"}\n" + FW_SESSION_ID_DIGITS;
    for (size_t i = 0; i < count; i++) {
        at[i] = parts[i];
        size += strlen(parts[i]);
    }
    char *body = fw_alloc(1, size);
    char last[FW_SESSION_ID_DIGITS + 1] = "";
    size_t used = (size_t)snprintf(body, size, "{\"sessions\":[");
    uint32_t taken = 0;
    for (size_t best; taken < limit && (best = choose(at, count)) < count; taken++) {
        const char *line = at[best];
        const char *stop = strchr(line, '\n');
        const char *object = line + FW_SESSION_ID_DIGITS + 1;
        used += (size_t)snprintf(body + used, size - used, "%s%.*s", taken > 0 ? "," : "",
                                 (int)(stop - object), object);
        memcpy(last, line, FW_SESSION_ID_DIGITS);
        at[best] = stop + 1;
    }
    /* As many as were asked for: there may be more. */
    if (taken == limit)
        (void)snprintf(body + used, size - used, "],\"next\":\"%s\"}\n", last);
    else
        (void)snprintf(body + used, size - used, "]}\n");
    return body;
}
