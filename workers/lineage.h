/* lineage.h - is this still the Redis that was purged?   SPDX-License-Identifier: MPL-2.0
 * Pure. Every worker keeps a mark in the Redis that it purges: a field of the hash
 * "<name space>:lineage" that says how far its log of purges was settled, and which history
 * (master_replid) the server had. A replica that takes over, or a restart from disk, brings another
 * history and an older mark: exactly what lies behind the mark may have been lost. */
#pragma once

#include "proto/bytes.h"

enum {
    FW_LINEAGE_ID_SIZE = 32,
    FW_LINEAGE_HISTORY_SIZE = 40,
    FW_LINEAGE_MARK_SIZE_MAX = 21 + 21 + FW_LINEAGE_HISTORY_SIZE,
    FW_LINEAGE_GRACE_MS = 5000, /* for other workers to come to a new history */
    FW_LINEAGE_AGE_S_MAX = 60,  /* marks of workers that are gone are kept for so long */
};

typedef struct {
    uint64_t settled; /* number in the log of its worker */
    uint64_t time_us; /* Redis' */
    char history[FW_LINEAGE_HISTORY_SIZE + 1];
} fw_lineage_mark_t;

/* Reads "settled time history". False when it is not that. */
bool fw_lineage_parse(fw_text_t text, fw_lineage_mark_t *ret_mark);

/* Finds master_replid in what INFO replication says; false when this is no primary, or does not
 * say.
 */
bool fw_lineage_history(const char *info, char ret_history[FW_LINEAGE_HISTORY_SIZE + 1]);

/* What a worker found. */
typedef struct {
    bool marked;          /* it has set its mark here before */
    bool marked_anywhere; /* at this or another server of the same Redis */
    bool purged;          /* its log is not empty */
    uint64_t settled;     /* what its mark said, as far as it knows */
    bool found;           /* its mark is there */
    fw_lineage_mark_t mark;
    size_t others;       /* marks of other workers */
    const char *history; /* of the server */
} fw_lineage_view_t;

typedef enum {
    FW_LINEAGE_SAME,   /* nothing is lost; set the mark */
    FW_LINEAGE_LOST,   /* what is behind the mark: purge it again, then set the mark */
    FW_LINEAGE_UNKNOWN /* nobody can tell: bump the epoch, then set the mark */
} fw_lineage_verdict_t;

fw_lineage_verdict_t fw_lineage_judge(const fw_lineage_view_t *view);

/* Does a repair that was made for one history hold for what the server has now? When another
 * failover came in between, it may be lost again. */
bool fw_lineage_holds(const char *repaired, const char *history);
