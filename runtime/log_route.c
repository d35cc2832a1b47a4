/* log_route.c - what czmq and libwebsockets have to say goes to our log.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "runtime/log_route.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <czmq.h>
#include <libwebsockets.h>

#include "runtime/clock.h"
#include "runtime/log.h"

enum { ROUTED_SIZE_MAX = 1024 };

/* A library's line without its line end, cut to a bounded size. What libraries complain about is
 * often a peer's doing, so each thread has its limit. */
static void write_line(fw_log_level_t level, const char *library, const char *line, size_t size)
{
    static _Thread_local fw_log_limit_t limit;
    while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
        size--;
    uint64_t suppressed = 0;
    if (size == 0 || !fw_log_limited(&limit, fw_clock_ms(), &suppressed))
        return;
    char text[ROUTED_SIZE_MAX];
    if (size > sizeof text - 1)
        size = sizeof text - 1;
    memcpy(text, line, size);
    text[size] = 0;
    fw_log(level, text, FW_KV_TEXT("library", library), FW_KV_UINT("suppressed", suppressed));
}

/* czmq writes "E: 22-11-22 17:13:58 text" and flushes after each line. */
static ssize_t czmq_write(void *cookie, const char *bytes, size_t size)
{
    (void)cookie;
    fw_log_level_t level = FW_LOG_INFO;
    if (size > 0 && bytes[0] == 'E')
        level = FW_LOG_ERROR;
    else if (size > 0 && bytes[0] == 'W')
        level = FW_LOG_WARN;
    else if (size > 0 && bytes[0] == 'D')
        level = FW_LOG_DEBUG;
    size_t prefix = strlen("E: yy-mm-dd hh:mm:ss ");
    if (size < prefix || bytes[1] != ':')
        prefix = 0;
    write_line(level, "czmq", bytes + prefix, size - prefix);
    return (ssize_t)size;
}

static void route_czmq(void)
{
    FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = czmq_write});
    if (stream)
        zsys_set_logstream(stream); /* czmq keeps it until the process ends */
}

void fw_log_route_czmq(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, route_czmq);
}

static void websockets_write(int level, const char *line)
{
    write_line(level & LLL_ERR ? FW_LOG_ERROR : FW_LOG_WARN, "libwebsockets", line, strlen(line));
}

void fw_log_route_websockets(void)
{
    lws_set_log_level(LLL_ERR | LLL_WARN, websockets_write);
}
