/* audit_judge.c - see audit_judge.h.   SPDX-License-Identifier: MPL-2.0 */
#include "workers/audit_judge.h"

#include <math.h>

#include "cache/payload.h"

uint64_t fw_audit_bound_us(uint64_t redis_time, uint64_t took_us, uint64_t slack_us)
{
    uint64_t before = took_us + slack_us < took_us ? UINT64_MAX : took_us + slack_us;
    return before < redis_time ? redis_time - before : 0;
}

fw_audit_verdict_t fw_audit_judge_stamp(uint64_t purged, fw_bytes_t current)
{
    uint64_t stamp = fw_cache_stamp_parse(current);
    return stamp > 0 && stamp < purged ? FW_AUDIT_STALE : FW_AUDIT_CLEAN;
}

bool fw_audit_suspects(fw_bytes_t head, uint64_t bound_us, fw_cache_entry_t *ret_entry)
{
    return fw_cache_value_kind(head) == FW_CACHE_VALUE_ENTRY &&
           fw_cache_entry_peek(head, ret_entry) == 0 && ret_entry->start_us <= bound_us;
}

bool fw_audit_stamps_fit(const fw_cache_entry_t *entry, const uint64_t *current)
{
    fw_cache_stamp_t stamps[FW_CACHE_STAMPS_MAX];
    for (size_t i = 0; i < entry->stamps_count; i++) {
        stamps[i] = (fw_cache_stamp_t){entry->stamps[i].tag, current[i]};
    }
    return fw_cache_entry_fresh(entry, stamps, entry->stamps_count, NULL) == FW_CACHE_FRESH;
}

fw_audit_verdict_t fw_audit_judge_value(const fw_cache_entry_t *head, fw_bytes_t value)
{
    fw_cache_entry_t entry;
    if (fw_cache_value_kind(value) != FW_CACHE_VALUE_ENTRY) {
        return FW_AUDIT_CLEAN;
    }
    if (fw_cache_entry_decode(value, FW_CACHE_PAYLOAD_SIZE_MAX, &entry) != 0) {
        return FW_AUDIT_CLEAN;
    }
    bool same = memcmp(entry.nonce, head->nonce, sizeof(entry.nonce)) == 0 &&
                entry.start_us == head->start_us;
    bool readable = fw_cache_payload_is_value(entry.payload);
    fw_cache_entry_clear(&entry);
    if (!readable) {
        return FW_AUDIT_CLEAN;
    }
    return same ? FW_AUDIT_STALE : FW_AUDIT_UNJUDGED;
}

double fw_audit_consistency(uint64_t checked, uint64_t stale)
{
    return checked > 0 ? 1.0 - (double)stale / (double)checked : 1.0;
}

double fw_audit_consistency_bound(uint64_t checked, uint64_t stale)
{
    static const double z = 1.6448536269514722; /* one-sided, 95 % */
    if (checked == 0) {
        return 0.0;
    }
    double n = (double)checked;
    if (stale == 0) {
        return n > 3.0 ? 1.0 - 3.0 / n : 0.0;
    }
    double share = fw_audit_consistency(checked, stale);
    double middle = share + z * z / (2 * n);
    double width = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n));
    double bound = (middle - width) / (1 + z * z / n);
    return bound > 0.0 ? bound : 0.0;
}
