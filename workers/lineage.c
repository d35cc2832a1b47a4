/* lineage.c - is this still the Redis that was purged?   SPDX-License-Identifier: MPL-2.0 */
#include "workers/lineage.h"

#include <stdlib.h>

static bool take_number(const char **text_p, uint64_t *ret_number)
{
    char *end = NULL;
    if (**text_p < '0' || **text_p > '9') {
        return false;
    }
    *ret_number = strtoull(*text_p, &end, 10);
    if (*end != ' ') {
        return false;
    }
    *text_p = end + 1;
    return true;
}

bool fw_lineage_parse(fw_text_t text, fw_lineage_mark_t *ret_mark)
{
    char copy[FW_LINEAGE_MARK_SIZE_MAX + 1];
    if (text.size > FW_LINEAGE_MARK_SIZE_MAX) {
        return false;
    }
    memcpy(copy, text.text, text.size);
    copy[text.size] = 0;
    const char *rest = copy;
    fw_lineage_mark_t mark;
    if (!take_number(&rest, &mark.settled) || !take_number(&rest, &mark.time_us) ||
        strlen(rest) != FW_LINEAGE_HISTORY_SIZE ||
        strspn(rest, "0123456789abcdef") != FW_LINEAGE_HISTORY_SIZE) {
        return false;
    }
    memcpy(mark.history, rest, sizeof(mark.history));
    *ret_mark = mark;
    return true;
}

bool fw_lineage_history(const char *info, char ret_history[FW_LINEAGE_HISTORY_SIZE + 1])
{
    static const char label[] = "master_replid:";
    const char *found = strstr(info, label);
    if (!strstr(info, "role:master") || !found) {
        return false;
    }
    const char *history = found + sizeof(label) - 1;
    if (strspn(history, "0123456789abcdef") != FW_LINEAGE_HISTORY_SIZE) {
        return false;
    }
    memcpy(ret_history, history, FW_LINEAGE_HISTORY_SIZE);
    ret_history[FW_LINEAGE_HISTORY_SIZE] = 0;
    return true;
}

fw_lineage_verdict_t fw_lineage_judge(const fw_lineage_view_t *view)
{
    if (!view->marked) {
        /* Others who were here vouch for it, or are missed after a while; with nobody's mark there
         * may be entries of long ago, unless this worker knows the rest of this Redis. What it
         * purged before its first mark, perhaps at a server that is gone, only it knows. */
        if (view->marked_anywhere) {
            return FW_LINEAGE_SAME;
        }
        return view->others == 0 ? FW_LINEAGE_UNKNOWN
               : view->purged    ? FW_LINEAGE_LOST
                                 : FW_LINEAGE_SAME;
    }
    if (!view->found) {
        return FW_LINEAGE_UNKNOWN;
    }
    bool same = strcmp(view->mark.history, view->history) == 0;
    return same && view->mark.settled >= view->settled ? FW_LINEAGE_SAME : FW_LINEAGE_LOST;
}

bool fw_lineage_holds(const char *repaired, const char *history)
{
    return strcmp(repaired, history) == 0;
}
