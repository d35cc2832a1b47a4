/* peers.h - the broker and its neighbours for benchmarks, each in a process of its own, and what
 * every benchmark of the broker needs.   SPDX-License-Identifier: MPL-2.0
 * Whatever fails here ends the program with a message. A process that has used ZeroMQ cannot fork
 * servers any more: each measurement is made inside bench_apart. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "broker/broker.h"
#include "proto/codec.h"
#include "runtime/socket.h"

enum { BENCH_WAIT_MS = 10000 };

typedef struct {
    pid_t pid;
    int life; /* the server ends when this is closed */
    fw_broker_endpoints_t at;
} bench_peer_t;

void bench_fail(const char *what) __attribute__((noreturn));
void bench_must(int result);

/* Runs a measurement in a process of its own and copies its result. */
typedef void bench_apart_fn(const void *task, void *result);
void bench_apart(bench_apart_fn *run, const void *task, void *ret_result, size_t size);

/* A broker on free ports of this machine, with default limits but how many ids it remembers and how
 * fast it may replay. */
bench_peer_t bench_start_broker(uint32_t dedupe_max);
/* Kills a broker without a goodbye and starts another one on the same ports. */
void bench_restart_broker(bench_peer_t *peer);
/* The reference: a bare ROUTER (at.publish) that answers every message with so many bytes. */
bench_peer_t bench_start_router(size_t answer_size);
/* A worker that answers every job at once; and a real one on a Redis. */
bench_peer_t bench_start_instant_worker(const char *jobs_endpoint);
bench_peer_t bench_start_worker(const char *jobs_endpoint, const char *redis_url);
void bench_stop(bench_peer_t *peer);

/* CPU time that all threads of a process used so far; its resident memory in bytes. */
double bench_cpu_seconds(pid_t pid);
double bench_resident_bytes(pid_t pid);

zsock_t *bench_open(fw_socket_role_t role, const char *endpoint);
/* Waits until the socket can be read (ZMQ_POLLIN) or written. */
void bench_wait(zsock_t *socket, short events);
/* A SUB that has every event of the rooms, in force when this returns. */
zsock_t *bench_subscribe_rooms(const char *events_endpoint);

typedef struct {
    uint64_t number; /* also the request id */
    fw_ack_level_t level;
    size_t room;
    bool purges;      /* two tags */
    const char *data; /* JSON; NULL = a small object */
} bench_event_t;

/* An encoded Publish; lives until the codec encodes again. */
fw_bytes_t bench_encode(fw_codec_t *codec, const bench_event_t *event);

/* Publishes count events like the pattern, numbers and rooms (of so many) counted up, and waits for
 * every acknowledgement, at most 512 of them outstanding. */
void bench_publish(zsock_t *dealer, fw_codec_t *codec, bench_event_t *pattern, size_t rooms,
                   size_t count);

/* Sorts the values. share is between 0 and 1: 0.5 is the median. */
double bench_quantile(double *values, size_t count, double share);
