/* path_worker.h - a worker without its sockets, for bench_path.   SPDX-License-Identifier: MPL-2.0
 */
#pragma once

#include <stddef.h>

enum { BENCH_JOBS_A_MESSAGE = 250 };

/* The broker's side: messages with count jobs in all, of one key each, are encoded. */
void bench_encode_jobs(size_t count);
/* The same, and the worker's: decoded, planned, answered as if by Redis, and the answers encoded.
 */
void bench_run_worker(size_t count);
