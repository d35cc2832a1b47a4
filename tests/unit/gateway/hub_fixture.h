/* hub_fixture.h - a hub, sessions on it, and what they would be sent.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "tests/unit/gateway/fixture.h"

#include <stdlib.h>

#include "gateway/gather.h"
#include "gateway/hub.h"

enum { TEST_EPOCH = 5, TEST_PING_MS = 25000, TEST_WINDOW_MS = 2000 };

typedef struct {
    fw_hub_t *hub;
    fw_gather_t *plain, *batch;
    uint64_t request; /* the last number given to a request */
    uint64_t session; /* likewise */
} scene_t;

static inline scene_t scene_new(uint32_t events_max)
{
    fw_hub_limits_t limits = {
        .ring = {events_max, 1 << 20},
        .rings_bytes_max = 16 << 20,
        .linger_ms = 1000,
        .ping_ms = TEST_PING_MS,
        .reconnect_window_ms = TEST_WINDOW_MS,
    };
    return (scene_t){fw_hub_new(&limits), fw_gather_new(FW_ENCODING_JSON, false),
                     fw_gather_new(FW_ENCODING_JSON, true), 0, 0};
}

static inline void scene_end(scene_t *scene)
{
    fw_hub_destroy(&scene->hub);
    fw_gather_destroy(&scene->plain);
    fw_gather_destroy(&scene->batch);
}

static inline fw_session_t *scene_session(scene_t *scene)
{
    return fw_session_new(NULL, ++scene->session);
}

static inline void scene_leave(scene_t *scene, fw_session_t **session_p)
{
    fw_hub_part(scene->hub, *session_p, 0);
    fw_session_destroy(session_p);
}

/* Does what an uplink does: topics, fences, and positions from a broker where every channel stands
 * at offset. */
static inline void scene_answer(scene_t *scene, uint64_t epoch, uint64_t offset)
{
    fw_topic_change_t change;
    while (fw_hub_next_change(scene->hub, &change))
        ;
    uint32_t fence;
    while ((fence = fw_hub_next_fence(scene->hub)) != 0)
        fw_hub_fenced(scene->hub, fence);
    fw_channel_t *next = NULL;
    for (fw_channel_t *channel = fw_hub_first_needy(scene->hub); channel; channel = next) {
        next = fw_hub_next_needy(scene->hub, channel);
        if (!(fw_sync_needs(&channel->sync) & FW_SYNC_NEEDS_POSITION))
            continue;
        fw_sync_position_asked(&channel->sync, ++scene->request, 0);
        fw_hub_position(scene->hub, channel, scene->request, (fw_position_t){epoch, offset});
    }
}

static inline void scene_event(scene_t *scene, const char *name, uint64_t offset,
                               const char *exclude_user, const char *exclude_origin)
{
    fw_channel_t *channel = fw_hub_find(scene->hub, fw_text(name));
    fw_entry_t *entry = make_entry(offset, exclude_user, exclude_origin);
    assert_non_null(channel);
    fw_hub_event(scene->hub, channel, TEST_EPOCH, &entry);
}

/* Appends what a frame holds, with a line end; returns the frame's size. */
static inline size_t unframe(const uint8_t *data, char *text)
{
    size_t head = 2;
    size_t size = data[1];
    if (size == 126) {
        size = (size_t)data[2] << 8 | data[3];
        head = 4;
    } else if (size == 127) {
        size = (size_t)data[6] << 24 | (size_t)data[7] << 16 | (size_t)data[8] << 8 | data[9];
        head = 10;
    }
    size_t used = strlen(text);
    memcpy(text + used, data + head, size);
    memcpy(text + used + size, "\n", 2);
    return head + size;
}

/* Everything that the session would be sent now, one message a line; static memory. */
static inline const char *scene_sent(scene_t *scene, fw_session_t *session)
{
    static char text[1 << 20];
    fw_gather_t *gather = session->batch ? scene->batch : scene->plain;
    fw_output_t output;
    text[0] = '\0';
    while (fw_gather_next(gather, session, FW_GATHER_BYTES_MAX, &output))
        for (size_t i = 0; i < output.bytes.size;)
            i += unframe(output.bytes.data + i, text);
    return text;
}

/* Takes the marked sessions off the list; returns how many there were. */
static inline size_t scene_marked(scene_t *scene)
{
    size_t count = 0;
    (void)fw_hub_marked(scene->hub);
    while (fw_hub_next_marked(scene->hub))
        count++;
    return count;
}
