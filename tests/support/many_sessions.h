/* many_sessions.h - many WebSocket (or bare TCP) clients in one epoll loop.
 * SPDX-License-Identifier: MPL-2.0 For tests and benchmarks: it counts frames and hands each
 * payload to a callback; it sends nothing after the handshake. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct many_sessions many_sessions_t;
/* One complete server frame. payload is not 0-terminated. */
typedef void many_sessions_frame_fn(void *context, size_t session, const char *payload,
                                    size_t size);

typedef struct {
    const char *host;
    int port;
    size_t count;
    const char *const *paths; /* one per session; NULL: path holds for all */
    const char *path; /* of the upgrade; "%zu" in it becomes the session's number. NULL: bare TCP,
                         frames at once */
    size_t skip;      /* frames that each session gets before it counts (the welcome) */
    many_sessions_frame_fn *frame;
    void *context;
} many_sessions_options_t;

/* Connects all and waits for their handshakes and skipped frames. Ends the process with a message
 * on failure. */
many_sessions_t *many_sessions_open(const many_sessions_options_t *options);
void many_sessions_close(many_sessions_t **self_p);
/* Reads for at most timeout_ms; returns the frames counted. */
size_t many_sessions_read(many_sessions_t *self, int timeout_ms);
/* Reads until so many frames more were counted; ends the process when nothing comes for ten
 * seconds. */
void many_sessions_read_frames(many_sessions_t *self, size_t frames);
