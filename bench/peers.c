/* peers.c - see peers.h.   SPDX-License-Identifier: MPL-2.0 */
#include "bench/peers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/log.h"
#include "runtime/signals.h"
#include "workers/workers.h"

enum { WINDOW = 512, REPLAY_BYTES_PER_SECOND = 2000000000 };

void bench_fail(const char *what)
{
    (void)fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

void bench_must(int result)
{
    errno = -result;
    if (result < 0)
        bench_fail("socket");
}

void bench_apart(bench_apart_fn *run, const void *task, void *ret_result, size_t size)
{
    int out[2];
    (void)fflush(NULL);
    if (pipe(out) != 0)
        bench_fail("pipe");
    pid_t pid = fork();
    if (pid == 0) {
        close(out[0]);
        run(task, ret_result);
        _exit(write(out[1], ret_result, size) == (ssize_t)size ? 0 : 1);
    }
    close(out[1]);
    if (read(out[0], ret_result, size) != (ssize_t)size)
        bench_fail("a measurement failed");
    close(out[0]);
    (void)waitpid(pid, NULL, 0);
}

/* --- servers */

typedef struct {
    const char *endpoint, *redis_url;
    size_t answer_size;
    uint32_t dedupe_max;
    const fw_broker_endpoints_t *again; /* the ports of the broker before */
    int report, life;
} server_t;

static void report(const server_t *server, const fw_broker_endpoints_t *at)
{
    char byte;
    if (write(server->report, at, sizeof *at) != (ssize_t)sizeof *at)
        _exit(1);
    if (server->life < 0)
        return;
    _exit(read(server->life, &byte, 1) == 0 ? 0 : 1);
}

static void run_router(server_t *server)
{
    fw_broker_endpoints_t at = {0};
    fw_peer_t peer;
    zmq_msg_t frame;
    uint8_t *answer = calloc(1, server->answer_size);
    zsock_t *router = bench_open(FW_SOCKET_ROUTER_BIND, "tcp://127.0.0.1:*");
    char *endpoint = fw_socket_endpoint(router);
    (void)snprintf(at.publish, sizeof at.publish, "%s", endpoint);
    server->life = -1;
    report(server, &at);
    zmq_msg_init(&frame);
    for (;;) {
        zmq_pollitem_t item = {zsock_resolve(router), 0, ZMQ_POLLIN, 0};
        (void)zmq_poll(&item, 1, 1000);
        while (fw_socket_receive_from(router, &peer, &frame) == 0)
            bench_must(fw_socket_send_to(router, &peer, (fw_bytes_t){answer, server->answer_size}));
    }
}

static void run_broker(server_t *server)
{
    fw_broker_t *broker = NULL;
    fw_broker_endpoints_t at;
    fw_broker_config_t config = fw_broker_defaults();
    config.fire_endpoints = config.publish_endpoints = config.jobs_endpoints =
        config.events_endpoints = config.control_endpoints = "tcp://127.0.0.1:*";
    config.dedupe_max = server->dedupe_max;
    config.replay_bytes_per_second = REPLAY_BYTES_PER_SECOND;
    if (server->again) {
        config.fire_endpoints = server->again->fire;
        config.publish_endpoints = server->again->publish;
        config.jobs_endpoints = server->again->jobs;
        config.events_endpoints = server->again->events;
        config.control_endpoints = server->again->control;
        config.open_timeout_ms = 0; /* no worker says hello again here */
    }
    if (fw_broker_start(&config, fw_metrics_new(), fw_health_new(), &broker) < 0)
        _exit(1);
    fw_broker_endpoints(broker, &at);
    report(server, &at);
}

static void run_worker(server_t *server)
{
    fw_broker_endpoints_t at = {0};
    fw_workers_config_t config = fw_workers_defaults();
    fw_workers_t *workers = NULL;
    config.actors = 1;
    config.redis_url = server->redis_url;
    config.jobs_endpoint = server->endpoint;
    if (fw_workers_start(&config, fw_metrics_new(), fw_health_new(), &workers) < 0)
        _exit(1);
    report(server, &at);
}

static void greet(zsock_t *socket, fw_codec_t *codec)
{
    static const uint8_t incarnation[FW_INCARNATION_SIZE] = {2};
    fw_message_t hello = {
        .kind = FW_MESSAGE_HELLO,
        .hello = {FW_PROTOCOL_VERSION, FW_TEXT("bench"), {incarnation, sizeof incarnation}, 10000}};
    bench_wait(socket, ZMQ_POLLOUT);
    bench_must(fw_socket_send(socket, fw_codec_encode(codec, FW_LINK_WORKER_UP, &hello)));
}

static void run_instant_worker(server_t *server)
{
    fw_broker_endpoints_t at = {0};
    fw_codec_t *in = fw_codec_new(), *out = fw_codec_new();
    zsock_t *socket = bench_open(FW_SOCKET_DEALER_CONNECT, server->endpoint);
    zmq_pollitem_t item = {zsock_resolve(socket), 0, ZMQ_POLLIN, 0};
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    greet(socket, out);
    server->life = -1;
    report(server, &at);
    for (uint64_t time = 1;; time++) {
        fw_message_t message;
        fw_refusal_t refusal;
        if (fw_socket_receive(socket, &frame) < 0) {
            fw_message_t ping = {.kind = FW_MESSAGE_PING, .number = time};
            if (zmq_poll(&item, 1, 500) == 0)
                bench_must(fw_socket_send(socket, fw_codec_encode(out, FW_LINK_WORKER_UP, &ping)));
            continue;
        }
        if (fw_codec_decode(in, FW_LINK_WORKER_DOWN, fw_socket_bytes(&frame), &message, &refusal))
            continue;
        if (message.kind != FW_MESSAGE_JOB && message.kind != FW_MESSAGE_JOBS)
            continue;
        fw_jobs_t jobs = {&message.job, 1};
        if (message.kind == FW_MESSAGE_JOBS)
            jobs = message.jobs;
        fw_job_done_t done[FW_JOBS_MAX];
        for (size_t i = 0; i < jobs.count; i++)
            done[i] = (fw_job_done_t){.job_id = jobs.jobs[i].job_id, .redis_time = time};
        fw_message_t answer = {.kind = FW_MESSAGE_JOBS_DONE, .jobs_done = {done, jobs.count}};
        bench_must(fw_socket_send(socket, fw_codec_encode(out, FW_LINK_WORKER_UP, &answer)));
    }
}

static bench_peer_t start(void (*run)(server_t *), server_t server)
{
    bench_peer_t peer;
    int out[2], life[2];
    if (pipe(out) != 0 || pipe(life) != 0)
        bench_fail("pipe");
    peer.pid = fork();
    if (peer.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(life[1]);
        fw_signals_block();
        fw_log_setup(FW_LOG_ERROR, FW_LOG_TEXT);
        server.report = out[1];
        server.life = life[0];
        run(&server);
        _exit(1);
    }
    close(out[1]);
    close(life[0]);
    peer.life = life[1];
    if (read(out[0], &peer.at, sizeof peer.at) != (ssize_t)sizeof peer.at)
        bench_fail("a server did not start");
    close(out[0]);
    return peer;
}

bench_peer_t bench_start_broker(uint32_t dedupe_max)
{
    return start(run_broker, (server_t){.dedupe_max = dedupe_max});
}

void bench_restart_broker(bench_peer_t *peer)
{
    fw_broker_endpoints_t at = peer->at;
    bench_stop(peer);
    *peer = start(run_broker, (server_t){.dedupe_max = 1, .again = &at});
}

bench_peer_t bench_start_router(size_t answer_size)
{
    return start(run_router, (server_t){.answer_size = answer_size});
}

bench_peer_t bench_start_instant_worker(const char *jobs_endpoint)
{
    return start(run_instant_worker, (server_t){.endpoint = jobs_endpoint});
}

bench_peer_t bench_start_worker(const char *jobs_endpoint, const char *redis_url)
{
    return start(run_worker, (server_t){.endpoint = jobs_endpoint, .redis_url = redis_url});
}

void bench_stop(bench_peer_t *peer)
{
    close(peer->life);
    (void)kill(peer->pid, SIGKILL);
    (void)waitpid(peer->pid, NULL, 0);
}

double bench_cpu_seconds(pid_t pid)
{
    char command[64], line[128];
    double total = 0;
    (void)snprintf(command, sizeof command, "cat /proc/%d/task/*/schedstat", (int)pid);
    FILE *pipe = popen(command, "r");
    while (pipe && fgets(line, sizeof line, pipe))
        total += strtod(line, NULL);
    if (pipe)
        (void)pclose(pipe);
    return total / 1e9;
}

double bench_resident_bytes(pid_t pid)
{
    char path[64], line[128];
    char *resident = line;
    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file))
        bench_fail(path);
    (void)fclose(file);
    (void)strtoul(line, &resident, 10); /* the size; the resident pages follow */
    return (double)strtoul(resident, NULL, 10) * (double)sysconf(_SC_PAGESIZE);
}

/* --- clients */

zsock_t *bench_open(fw_socket_role_t role, const char *endpoint)
{
    fw_socket_settings_t settings = fw_socket_settings(role);
    zsock_t *socket = NULL;
    bench_must(fw_socket_open(&settings, endpoint, &socket));
    return socket;
}

void bench_wait(zsock_t *socket, short events)
{
    zmq_pollitem_t item = {zsock_resolve(socket), 0, events, 0};
    if (zmq_poll(&item, 1, BENCH_WAIT_MS) != 1)
        bench_fail("a server is silent");
}

zsock_t *bench_subscribe_rooms(const char *events_endpoint)
{
    zmq_msg_t frame;
    zsock_t *sub = bench_open(FW_SOCKET_SUB_CONNECT, events_endpoint);
    zmq_msg_init(&frame);
    zsock_set_subscribe(sub, "r");
    zsock_set_subscribe(sub, "~f");
    bench_wait(sub, ZMQ_POLLIN);
    bench_must(fw_socket_receive(sub, &frame));
    zmq_msg_close(&frame);
    return sub;
}

fw_bytes_t bench_encode(fw_codec_t *codec, const bench_event_t *event)
{
    static const char object[] =
        "{\"id\":\"42\",\"name\":\"A project with a name\",\"version\":17}";
    const char *data = event->data ? event->data : object;
    char id[32], channel[32];
    fw_text_t tags[] = {FW_TEXT("projects"), FW_TEXT("project:42")};
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)event->number);
    (void)snprintf(channel, sizeof channel, "room:%zu", event->room);
    fw_text_t audience[] = {fw_text(channel)};
    fw_message_t message = {.kind = FW_MESSAGE_PUBLISH};
    message.publish.request_id = event->number;
    message.publish.level = event->level;
    message.publish.event = (fw_event_t){.id = fw_text(id),
                                         .type = FW_TEXT("project_updated"),
                                         .data = {.kind = FW_PAYLOAD_JSON,
                                                  .bytes = {(const uint8_t *)data, strlen(data)},
                                                  .type = FW_TEXT_NONE},
                                         .audience = audience,
                                         .audience_count = 1,
                                         .exclude = {FW_TEXT_NONE, FW_TEXT_NONE},
                                         .origin = FW_TEXT("tab-7"),
                                         .user_id = FW_TEXT("9"),
                                         .traceparent = FW_TEXT_NONE};
    if (event->purges)
        message.publish.event.invalidate = (fw_invalidate_t){.tags = tags, .tags_count = 2};
    return fw_codec_encode(codec, FW_LINK_PUBLISHER_UP, &message);
}

void bench_publish(zsock_t *dealer, fw_codec_t *codec, bench_event_t *pattern, size_t rooms,
                   size_t count)
{
    zmq_msg_t frame;
    size_t sent = 0, answered = 0;
    zmq_msg_init(&frame);
    while (answered < count) {
        while (sent < count && sent - answered < WINDOW &&
               fw_socket_send(dealer, bench_encode(codec, pattern)) == 0) {
            pattern->number++;
            pattern->room = (pattern->room + 1) % rooms;
            sent++;
        }
        bench_wait(dealer, ZMQ_POLLIN);
        while (answered < sent && fw_socket_receive(dealer, &frame) == 0)
            answered++;
    }
    zmq_msg_close(&frame);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quantile(double *values, size_t count, double share)
{
    qsort(values, count, sizeof *values, compare);
    return count == 0 ? 0 : values[(size_t)(share * (double)(count - 1) + 0.5)];
}
