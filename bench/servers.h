/* servers.h - what the benchmarks measure, each in a process of its own.   SPDX-License-Identifier:
 * MPL-2.0 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

typedef enum {
    BENCH_BARE,      /* a bare epoll + send loop: the kernel's limit for this job */
    BENCH_FRESHWIRE, /* broker and gateway, one shard, over inproc */
} bench_kind_t;

#define BENCH_SECRET "a secret for benchmarks only, 32 bytes or more"

typedef struct bench_server bench_server_t;

/* Forks the server; call before any thread is made. */
bench_server_t *bench_server_start(bench_kind_t kind);
/* Freshwire, with rules of channels for its gateway (gateway.channels). */
bench_server_t *bench_server_start_ruled(const char *const *rules, size_t count);
int bench_server_port(const bench_server_t *self);
/* Sends a burst of payloads of one channel, each at least 1 byte of JSON. target: index of the one
 * session of the bare server that gets it, or -1 for all. */
void bench_server_publish(bench_server_t *self, const char *channel, long target,
                          const char *const *payloads, size_t count);
/* CPU time that the server used so far, in microseconds. */
long long bench_server_cpu_us(const bench_server_t *self);
/* Resident memory in bytes. */
long long bench_server_rss(const bench_server_t *self);
void bench_server_stop(bench_server_t **self_p);
