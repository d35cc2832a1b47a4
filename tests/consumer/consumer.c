/* consumer.c - the smallest service: publishes one event and writes one cache entry.
 * SPDX-License-Identifier: MPL-2.0 No broker answers here, so the event must end in a time-out,
 * told exactly once. */
#include <cache/entry.h>
#include <clients/c/publisher.h>
#include <errno.h>
#include <runtime/clock.h>
#include <stdio.h>
#include <stdlib.h>

static void done(void *context, uint64_t request_id, int error, const fw_publish_ack_t *ack)
{
    (void)request_id;
    if (error != -ETIMEDOUT || ack != NULL) {
        fprintf(stderr, "error %d instead of a time-out\n", error);
        exit(1);
    }
    ++*(int *)context;
}

int main(void)
{
    int answers = 0;
    fw_publisher_t *publisher = NULL;
    fw_publisher_options_t options = {
        .endpoint = "inproc://nobody", .name = "consumer", .timeout_ms = 200};
    if (fw_publisher_new(&options, done, &answers, &publisher) != 0) {
        return 1;
    }
    fw_text_t audience[] = {FW_TEXT("room:42")};
    fw_event_t event = {
        .type = FW_TEXT("project_updated"), .audience = audience, .audience_count = 1};
    uint64_t request_id = 0;
    fw_refusal_t refusal;
    if (fw_publisher_send(publisher, &event, FW_ACK_PURGED, fw_clock_ms(), &request_id, &refusal) !=
        0) {
        return 1;
    }
    int64_t deadline_ms = fw_clock_ms() + 10000;
    while (fw_publisher_in_flight(publisher) > 0 && fw_clock_ms() < deadline_ms) {
        fw_publisher_wait(publisher, 100);
    }
    fw_publisher_destroy(&publisher);
    if (answers != 1) {
        fprintf(stderr, "%d answers instead of 1\n", answers);
        return 1;
    }

    const uint8_t nil[] = {0xc0};
    fw_cache_entry_t entry = {.payload = {nil, sizeof nil}, .stamps_count = 1};
    entry.stamps[0].stamp = 1; /* of the cache epoch */
    uint8_t *bytes = NULL;
    size_t size = 0;
    int result = fw_cache_entry_encode(&entry, &bytes, &size);
    free(bytes);
    return result == 0 && size > FW_CACHE_HEADER_SIZE ? 0 : 1;
}
