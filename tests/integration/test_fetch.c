/* test_fetch.c - requests over HTTP against a server that may misbehave.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/fetch.h"

enum { REQUEST_SIZE_MAX = 4096, BODY_BYTES_MAX = 1000, TIMEOUT_MS = 20000 };

static int listener;
static int port;
static char last_request[REQUEST_SIZE_MAX + 1];

static void answer(int fd)
{
    static const struct {
        const char *path, *text;
    } answers[] = {
        {" /ok ",
         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"7\"\r\nX-Cache: HIT\r\n"
         "Cache-Control: public, max-age=300\r\nContent-Length: 2\r\n\r\n{}"},
        {" /none ",
         "HTTP/1.1 404 Not Found\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n"},
        {" /moved ", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n"},
        {" /big ", "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"},
        {" /garbage ", "HELO 7\r\n\r\n"},
        {" /cut ", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"},
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (strstr(last_request, answers[i].path)) {
            (void)!write(fd, answers[i].text, strlen(answers[i].text));
            for (int k = 0; i == 3 && k < 1001; k++)
                (void)!write(fd, "x", 1);
        }
    }
}

/* One request a connection; whoever asks for /hang gets no answer until it goes. */
static void *serve(void *unused)
{
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            return unused;
        ssize_t size = read(fd, last_request, REQUEST_SIZE_MAX);
        last_request[size > 0 ? size : 0] = 0;
        char byte;
        if (strstr(last_request, " /hang "))
            (void)!read(fd, &byte, 1);
        else
            answer(fd);
        (void)close(fd);
    }
}

static int fetch(const char *path, int64_t timeout_ms, fw_fetch_reply_t *ret_reply,
                 char reason[200])
{
    char url[200];
    (void)snprintf(url, sizeof url, "http://secret:word@127.0.0.1:%d%s", port, path);
    const fw_fetch_request_t request = {
        .url = url, .reply_bytes_max = BODY_BYTES_MAX, .timeout_ms = timeout_ms};
    *reason = 0;
    return fw_fetch(&request, ret_reply, reason, 200);
}

static void refuses_what_is_not_http_or_does_not_end_well(void **state)
{
    static const struct {
        const char *path;
        int64_t timeout_ms;
        int result;
    } cases[] = {
        {"/big", TIMEOUT_MS, -EMSGSIZE},
        {"/hang", 100, -ETIMEDOUT},
        {"/garbage", TIMEOUT_MS, -EPROTO},
        {"/cut", TIMEOUT_MS, -EPROTO},
    };
    fw_fetch_reply_t reply;
    char reason[200];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(fetch(cases[i].path, cases[i].timeout_ms, &reply, reason),
                         cases[i].result);
        assert_non_null(strstr(reason, "127.0.0.1"));
        assert_null(strstr(reason, "secret"));
        fw_fetch_reply_clear(&reply);
    }
}

static void refuses_urls_of_other_kinds_and_servers_that_are_not_there(void **state)
{
    static const struct {
        const char *url;
        int result;
    } cases[] = {
        {"file:///etc/passwd", -EINVAL},
        {"ftp://127.0.0.1/", -EINVAL},
        {"", -EINVAL},
        {"http://127.0.0.1:1/?token=secret", -ECONNREFUSED},
    };
    fw_fetch_reply_t reply;
    char reason[200];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const fw_fetch_request_t request = {
            .url = cases[i].url, .reply_bytes_max = 10, .timeout_ms = TIMEOUT_MS};
        assert_int_equal(fw_fetch(&request, &reply, reason, sizeof reason), cases[i].result);
        assert_null(strstr(reason, "secret"));
        fw_fetch_reply_clear(&reply);
    }
}

static void gives_the_answer_and_the_headers_that_count(void **state)
{
    fw_fetch_reply_t reply;
    char reason[200];
    (void)state;
    assert_int_equal(fetch("/ok", TIMEOUT_MS, &reply, reason), 0);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.size, 2);
    assert_string_equal((const char *)reply.body, "{}");
    assert_string_equal(reply.content_type, "application/json");
    assert_string_equal(reply.etag, "\"7\"");
    assert_string_equal(reply.cache, "HIT");
    assert_int_equal(reply.max_age_s, 300);
    fw_fetch_reply_clear(&reply);
    assert_int_equal(fetch("/none", TIMEOUT_MS, &reply, reason), 0);
    assert_int_equal(reply.status, 404);
    assert_int_equal(reply.max_age_s, 0);
    fw_fetch_reply_clear(&reply);
    assert_int_equal(fetch("/moved", TIMEOUT_MS, &reply, reason), 0);
    assert_int_equal(reply.status, 302); /* not followed */
    assert_int_equal(reply.max_age_s, -1);
    fw_fetch_reply_clear(&reply);
}

static void refuses_a_header_that_would_be_two(void **state)
{
    char url[64];
    char reason[200];
    fw_fetch_reply_t reply;
    static const char *const headers[] = {"X-Freshwire-Fresh: 7", "X-Bad: 1\r\nX-Other: 2"};
    (void)state;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/ok", port);
    const fw_fetch_request_t request = {
        .url = url, .headers = headers, .headers_count = 2, .timeout_ms = TIMEOUT_MS};
    assert_int_equal(fw_fetch(&request, &reply, reason, sizeof reason), -EINVAL);
    assert_non_null(strstr(reason, "line break"));
    fw_fetch_reply_clear(&reply);
}

static void sends_headers_and_a_body(void **state)
{
    char url[64];
    char reason[200];
    fw_fetch_reply_t reply;
    static const char *const headers[] = {"X-Freshwire-Fresh: 7"};
    (void)state;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/ok", port);
    const fw_fetch_request_t request = {
        .url = url,
        .headers = headers,
        .headers_count = 1,
        .body = {(const uint8_t *)"{\"a\":1}", 7},
        .reply_bytes_max = BODY_BYTES_MAX,
        .timeout_ms = TIMEOUT_MS,
    };
    assert_int_equal(fw_fetch(&request, &reply, reason, sizeof reason), 0);
    assert_int_equal(strncmp(last_request, "POST /ok ", 9), 0);
    assert_non_null(strstr(last_request, "\r\nX-Freshwire-Fresh: 7\r\n"));
    assert_non_null(strstr(last_request, "\r\n\r\n{\"a\":1}"));
    fw_fetch_reply_clear(&reply);
}

static int start(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    static pthread_t thread;
    (void)state;
    fw_fetch_prepare();
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 10) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        return -1;
    port = ntohs(address.sin_port);
    if (pthread_create(&thread, NULL, serve, NULL) != 0)
        return -1;
    *state = &thread;
    return 0;
}

static int stop(void **state)
{
    (void)shutdown(listener, SHUT_RDWR);
    return pthread_join(*(pthread_t *)*state, NULL) == 0 && close(listener) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_not_http_or_does_not_end_well),
        cmocka_unit_test(refuses_urls_of_other_kinds_and_servers_that_are_not_there),
        cmocka_unit_test(gives_the_answer_and_the_headers_that_count),
        cmocka_unit_test(refuses_a_header_that_would_be_two),
        cmocka_unit_test(sends_headers_and_a_body),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
