/* bench_path.c - machine instructions per event, which do not depend on what else the machine does.
 * SPDX-License-Identifier: MPL-2.0
 *
 * The program runs each path under callgrind with two numbers of events; the difference, divided,
 * is what one more event costs. Paths have no sockets: bytes of the link in, bytes of the link out.
 * "bench_path purged 1000" runs one path, for a profile of your own:
 * valgrind --tool=callgrind build/release/bench/bench_path purged 10000. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/hubs.h"
#include "bench/path_worker.h"
#include "bench/peers.h"
#include "broker/core.h"
#include "broker/store_memory.h"

#define SECOND_US INT64_C(1000000)

enum { ROOMS = 20, FEW = 1000, MANY = 3000, REPLAYED = 100 };

/* --- the broker without its sockets */

typedef struct {
    fw_core_t *core;
    fw_codec_t *client, *in, *out;
    uint64_t job;      /* to be done, 0 = none */
    uint64_t released; /* also keeps the encoder's work from being left out */
    int64_t now_us;
} broker_t;

static void on_acknowledge(void *context, const fw_peer_t *publisher, const fw_publish_ack_t *ack)
{
    broker_t *self = context;
    fw_message_t message = {.kind = FW_MESSAGE_PUBLISH_ACK, .ack = *ack};
    (void)publisher;
    (void)fw_codec_encode(self->out, FW_LINK_PUBLISHER_DOWN, &message);
}

static int on_send_job(void *context, const fw_peer_t *worker, const fw_job_t *job)
{
    broker_t *self = context;
    fw_message_t message = {.kind = FW_MESSAGE_JOB, .job = *job};
    (void)worker;
    (void)fw_codec_encode(self->out, FW_LINK_WORKER_DOWN, &message);
    self->job = job->job_id;
    return 0;
}

static void on_deliver(void *context, const fw_delivery_t *delivery)
{
    broker_t *self = context;
    self->released += fw_codec_encode_event_frame(self->out, delivery).size > 0;
}

static void on_alarm(void *context)
{
    (void)context;
    bench_fail("nothing was lost");
}

static fw_store_t *make_store(const void *options, const fw_store_answers_t *answers)
{
    return fw_store_memory_new(options, answers);
}

static void broker_init(broker_t *self)
{
    fw_core_options_t options = {.credit = 1024,
                                 .barrier_first_us = SECOND_US / 5,
                                 .barrier_timeout_us = SECOND_US / 2,
                                 .hold_timeout_us = 5 * SECOND_US,
                                 .open_timeout_us = 5 * SECOND_US,
                                 .held_max = 100000,
                                 .jobs_max = 100000,
                                 .held_bytes_max = 1 << 30,
                                 .jobs_bytes_max = 1 << 30,
                                 .dedupe_bytes_max = 1 << 30,
                                 .dedupe_us = 300 * SECOND_US,
                                 .dedupe_max = 500,
                                 .lease_us = 2 * SECOND_US,
                                 .retry_base_us = SECOND_US / 20,
                                 .retry_us_max = 5 * SECOND_US,
                                 .silence_us_max = 3 * SECOND_US,
                                 .seed = 1};
    fw_policy_t fallback = {16, 1 << 20, INT64_MAX / 4, false};
    fw_policies_t *policies = NULL;
    fw_config_error_t error;
    bench_must(fw_policies_new(NULL, 0, &fallback, &policies, &error));
    options.policies = policies;
    fw_store_memory_options_t store = {.policies = policies,
                                       .bytes_max = 1 << 24,
                                       .idle_us_max = INT64_MAX / 4,
                                       .channels_max = 1000,
                                       .seed = 1};
    fw_core_output_t output = {self, on_acknowledge, on_send_job, on_deliver, on_alarm, NULL};
    fw_peer_t worker = {2, {'w', 1}};
    *self = (broker_t){.client = fw_codec_new(), .in = fw_codec_new(), .out = fw_codec_new()};
    self->core = fw_core_new(&options, &output, make_store, &store, fw_metrics_new(), 0);
    fw_core_worker(self->core, &worker, 1000, 0);
}

static void do_jobs(broker_t *self)
{
    fw_peer_t worker = {2, {'w', 1}};
    while (self->job) {
        fw_message_t message = {.kind = FW_MESSAGE_JOB_DONE,
                                .done = {.job_id = self->job, .redis_time = 1732270000123456}};
        fw_refusal_t refusal;
        fw_bytes_t frame = fw_codec_encode(self->client, FW_LINK_WORKER_UP, &message);
        self->job = 0;
        bench_must(fw_codec_decode(self->in, FW_LINK_WORKER_UP, frame, &message, &refusal));
        fw_core_job_done(self->core, &worker, &message.done, self->now_us);
    }
}

static void run_broker(size_t count, fw_ack_level_t level, bool purges, bool fire)
{
    broker_t broker;
    fw_peer_t publisher = {2, {'p', 1}};
    broker_init(&broker);
    fw_core_publisher(broker.core, &publisher, 0);
    do_jobs(&broker); /* of the start */
    for (size_t i = 0; i < count; i++) {
        fw_message_t message;
        fw_refusal_t refusal;
        bench_event_t event = {
            .number = i + 1, .level = level, .room = i % ROOMS, .purges = purges};
        broker.now_us += 10;
        bench_must(fw_codec_decode(broker.in, FW_LINK_PUBLISHER_UP,
                                   bench_encode(broker.client, &event), &message, &refusal));
        bench_must(fw_event_check(&message.publish.event, &refusal));
        fw_core_publish(broker.core, fire ? NULL : &publisher, &message.publish, broker.now_us, 1);
        do_jobs(&broker);
    }
    if (broker.released != count)
        bench_fail("events were not released");
    fw_core_destroy(&broker.core);
    fw_codec_destroy(&broker.client);
    fw_codec_destroy(&broker.in);
    fw_codec_destroy(&broker.out);
}

/* --- the gateway without its sockets */

static void run_events(size_t count)
{
    bench_hub_t *hub = bench_hub_new(ROOMS);
    for (size_t i = 0; i < count; i++)
        bench_hub_take_event(hub, bench_hub_event_frame(hub, i % ROOMS, i / ROOMS + 1));
    bench_hub_destroy(&hub);
}

static void run_replays(size_t count)
{
    bench_hub_t *hub = bench_hub_new(count / REPLAYED);
    bench_hub_fall_behind(hub, REPLAYED);
    for (size_t i = 0; i < count / REPLAYED; i++)
        bench_hub_take_replay(hub, bench_hub_replay_frame(hub, i, REPLAYED));
    bench_hub_destroy(&hub);
}

/* --- what is measured: encoding by the other side is in it, and shown */

static void run_encode(size_t count)
{
    fw_codec_t *codec = fw_codec_new();
    for (size_t i = 0; i < count; i++) {
        bench_event_t event = {.number = i + 1, .room = i % ROOMS, .purges = true};
        (void)bench_encode(codec, &event);
    }
    fw_codec_destroy(&codec);
}

static void run_frames(size_t count)
{
    bench_hub_t *hub = bench_hub_new(ROOMS);
    for (size_t i = 0; i < count; i++)
        (void)bench_hub_event_frame(hub, i % ROOMS, i / ROOMS + 1);
    bench_hub_destroy(&hub);
}

static void run_path(const char *path, size_t count)
{
    if (strcmp(path, "fire") == 0)
        run_broker(count, FW_ACK_ACCEPTED, false, true);
    else if (strcmp(path, "accepted") == 0)
        run_broker(count, FW_ACK_ACCEPTED, false, false);
    else if (strcmp(path, "purged") == 0)
        run_broker(count, FW_ACK_PURGED, true, false);
    else if (strcmp(path, "events") == 0)
        run_events(count);
    else if (strcmp(path, "replays") == 0)
        run_replays(count);
    else if (strcmp(path, "publisher") == 0)
        run_encode(count);
    else if (strcmp(path, "frames") == 0)
        run_frames(count);
    else if (strcmp(path, "jobs") == 0)
        bench_encode_jobs(count);
    else if (strcmp(path, "worker") == 0)
        bench_run_worker(count);
    else
        bench_fail(path);
}

/* --- counting */

static double instructions(const char *program, const char *path, size_t count)
{
    char command[512], line[256];
    double collected = -1;
    (void)snprintf(command, sizeof command,
                   "valgrind --tool=callgrind --callgrind-out-file=/dev/null '%s' %s %zu 2>&1",
                   program, path, count);
    FILE *pipe = popen(command, "r");
    while (pipe && fgets(line, sizeof line, pipe)) {
        const char *mark = strstr(line, "Collected : ");
        if (mark)
            collected = strtod(mark + 12, NULL);
    }
    if (!pipe || pclose(pipe) != 0 || collected < 0)
        bench_fail("a path failed under callgrind");
    return collected;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path, *title;
    } paths[] = {
        {"publisher", "publisher: encode (in the three below)"},
        {"fire", "broker: fire and forget to release"},
        {"accepted", "broker: accepted to release, acknowledged"},
        {"purged", "broker: purged, job and answer too"},
        {"frames", "broker: encode event (in the two below)"},
        {"events", "gateway: event into the ring"},
        {"replays", "gateway: replayed event into the ring"},
        {"jobs", "broker: encode job (in the one below)"},
        {"worker", "worker: job of one key, answered"},
    };
    if (argc > 2) {
        run_path(argv[1], strtoul(argv[2], NULL, 10));
        return 0;
    }
    if (system("command -v valgrind >/dev/null") != 0) {
        printf("not counted: this needs valgrind (apt-get install valgrind)\n");
        return 0;
    }
    printf("%-44s %22s\n", "", "instructions an event");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        double more = instructions(argv[0], paths[i].path, MANY);
        double each = (more - instructions(argv[0], paths[i].path, FEW)) / (MANY - FEW);
        printf("%-44s %22.0f\n", paths[i].title, each);
        (void)fflush(stdout);
    }
    return 0;
}
