/* test_admin.c - the admin port answers what it must and nothing else.   SPDX-License-Identifier:
 * MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/admin.h"
#include "runtime/alloc.h"
#include "runtime/clock.h"
#include "tests/unit/runtime/seed.h"

enum { DEADLINE_MS = 15000, ANSWER_MAX = 4 * 1024 * 1024 };

typedef struct {
    fw_metrics_t *metrics;
    fw_health_t *health;
    fw_admin_t *admin;
} fixture_t;

static int set_up(void **state)
{
    fixture_t *fixture = fw_alloc(1, sizeof *fixture);
    fixture->metrics = fw_metrics_new();
    fixture->health = fw_health_new();
    assert_int_equal(
        fw_admin_start("127.0.0.1:0", fixture->metrics, fixture->health, &fixture->admin), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *fixture = *state;
    fw_admin_stop(&fixture->admin);
    fw_health_destroy(&fixture->health);
    fw_metrics_destroy(&fixture->metrics);
    free(fixture);
    return 0;
}

static int connect_to(const fixture_t *fixture)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)fw_admin_port(fixture->admin)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_text(int fd, const char *text)
{
    size_t size = strlen(text);
    assert_int_equal(send(fd, text, size, MSG_NOSIGNAL), size);
}

/* Reads until the text holds what is waited for, the peer closes, or the deadline. */
static char *read_until(int fd, const char *awaited)
{
    char *text = fw_alloc(ANSWER_MAX, 1);
    size_t used = 0;
    int64_t until_ms = fw_clock_ms() + DEADLINE_MS;
    while (!(awaited && strstr(text, awaited)) && fw_clock_ms() < until_ms) {
        struct pollfd item = {.fd = fd, .events = POLLIN};
        if (poll(&item, 1, 1000) <= 0)
            continue;
        ssize_t got = recv(fd, text + used, ANSWER_MAX - 1 - used, 0);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    return text;
}

/* The whole answer to a request on a connection of its own. */
static char *ask(const fixture_t *fixture, const char *request)
{
    int fd = connect_to(fixture);
    send_text(fd, request);
    char *answer = read_until(fd, NULL);
    (void)close(fd);
    return answer;
}

static char *get(const fixture_t *fixture, const char *method, const char *path)
{
    char request[256];
    (void)snprintf(request, sizeof request,
                   "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
    return ask(fixture, request);
}

static void expect(const fixture_t *fixture, const char *method, const char *path,
                   const char *status, const char *part)
{
    char *answer = get(fixture, method, path);
    if (strncmp(answer, status, strlen(status)) != 0 || !strstr(answer, part))
        print_message("%s %s: %s\n", method, path, answer);
    assert_int_equal(strncmp(answer, status, strlen(status)), 0);
    assert_non_null(strstr(answer, part));
    free(answer);
}

static void an_address_that_cannot_be_had_is_refused(void **state)
{
    fixture_t *fixture = *state;
    fw_admin_t *admin = NULL;
    assert_int_equal(fw_admin_start("nonsense", fixture->metrics, fixture->health, &admin),
                     -EINVAL);
    char taken[32];
    (void)snprintf(taken, sizeof taken, "127.0.0.1:%d", fw_admin_port(fixture->admin));
    assert_int_equal(fw_admin_start(taken, fixture->metrics, fixture->health, &admin), -EADDRINUSE);
    assert_null(admin);
}

static void unknown_paths_and_methods_are_refused(void **state)
{
    const fixture_t *fixture = *state;
    expect(fixture, "GET", "/", "HTTP/1.1 404 ", "not found\n");
    expect(fixture, "GET", "/metrics/", "HTTP/1.1 404 ", "not found\n");
    expect(fixture, "GET", "/metricsx", "HTTP/1.1 404 ", "not found\n");
    expect(fixture, "GET", "/../../etc/passwd", "HTTP/1.1 404 ", "not found\n");
    expect(fixture, "POST", "/metrics", "HTTP/1.1 405 ", "allow: GET, HEAD\r\n");
    expect(fixture, "DELETE", "/healthz", "HTTP/1.1 405 ", "allow: GET, HEAD\r\n");
    expect(fixture, "OPTIONS", "/healthz", "HTTP/1.1 405 ", "allow: GET, HEAD\r\n");
    char *answer = ask(fixture, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                                "GET /healthz HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(answer, "HTTP/1.1 405 "));
    assert_null(strstr(answer, "HTTP/1.1 200 "));
    free(answer);
}

static void an_upgrade_is_refused(void **state)
{
    const fixture_t *fixture = *state;
    char *answer =
        ask(fixture, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                     "\r\n");
    assert_null(strstr(answer, " 101 "));
    free(answer);
    answer = ask(fixture, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                          "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");
    assert_null(strstr(answer, " 101 "));
    free(answer);
    expect(fixture, "GET", "/healthz", "HTTP/1.1 200 ", "\"status\":\"ok\"");
}

static void garbage_and_giant_headers_disturb_nobody(void **state)
{
    const fixture_t *fixture = *state;
    fw_random_t random = seeded_random();
    for (int i = 0; i < 50; i++) {
        uint8_t bytes[300];
        for (size_t j = 0; j < sizeof bytes; j++)
            bytes[j] = (uint8_t)fw_random_next(&random);
        if (i % 2)
            memcpy(bytes, "GET /metrics HTTP/1.1\r\n", 23);
        int fd = connect_to(fixture);
        assert_true(send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) > 0);
        (void)close(fd);
    }
    enum { LARGE = 20000 };
    char *value = fw_alloc(LARGE + 1, 1);
    memset(value, 'a', LARGE);
    char *request = fw_alloc(LARGE + 100, 1);
    int size =
        snprintf(request, LARGE + 100, "GET /metrics HTTP/1.1\r\nX-Large: %s\r\n\r\n", value);
    free(value);
    int fd = connect_to(fixture);
    (void)!send(fd, request, (size_t)size, MSG_NOSIGNAL);
    char *answer = read_until(fd, NULL);
    assert_null(strstr(answer, " 200 "));
    free(answer);
    (void)close(fd);
    free(request);
    expect(fixture, "GET", "/healthz", "HTTP/1.1 200 ", "\"status\":\"ok\"");
}

static void a_silent_or_half_request_is_closed_in_time(void **state)
{
    const fixture_t *fixture = *state;
    int64_t begin_ms = fw_clock_ms();
    int silent = connect_to(fixture);
    int half = connect_to(fixture);
    send_text(half, "GET /metr");
    char *answer = read_until(half, NULL);
    free(answer);
    answer = read_until(silent, NULL);
    assert_string_equal(answer, "");
    free(answer);
    assert_true(fw_clock_ms() - begin_ms < DEADLINE_MS);
    (void)close(half);
    (void)close(silent);
}

static void connections_above_the_limit_are_closed_and_counted(void **state)
{
    const fixture_t *fixture = *state;
    enum { MANY = 80, LIMIT = 64 };
    int fds[MANY];
    for (int i = 0; i < MANY; i++)
        fds[i] = connect_to(fixture);
    unsigned closed = 0;
    int64_t until_ms = fw_clock_ms() + 3000;
    while (closed < MANY - LIMIT && fw_clock_ms() < until_ms) {
        closed = 0;
        for (int i = 0; i < MANY; i++) {
            struct pollfd item = {.fd = fds[i], .events = POLLIN};
            closed += poll(&item, 1, 0) == 1;
        }
        (void)poll(NULL, 0, 5);
    }
    assert_int_equal(closed, MANY - LIMIT);
    for (int i = 0; i < MANY; i++)
        (void)close(fds[i]);
    fw_counter_t *refused = fw_metrics_counter(
        fixture->metrics, "freshwire_admin_connections_refused_total",
        "Connections to the admin port closed because 64 were open already.", "");
    assert_int_equal(fw_counter_value(refused), MANY - LIMIT);
    /* There is room again as soon as it has seen them go. */
    char *answer = NULL;
    while ((answer = get(fixture, "GET", "/livez")) && !*answer && fw_clock_ms() < until_ms)
        free(answer);
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
    free(answer);
}

static void health_and_readiness_are_told_apart(void **state)
{
    const fixture_t *fixture = *state;
    fw_condition_t *link = fw_health_condition(fixture->health, "broker link");
    expect(fixture, "GET", "/healthz", "HTTP/1.1 200 ", "\"status\":\"unready\"");
    expect(fixture, "GET", "/livez", "HTTP/1.1 200 ", "\"status\":\"unready\"");
    expect(fixture, "GET", "/readyz", "HTTP/1.1 503 ", "\"broker link\":false");
    fw_condition_set(link, true);
    expect(fixture, "GET", "/readyz", "HTTP/1.1 200 ", "\"status\":\"ok\"");
    expect(fixture, "GET", "/readyz?verbose=1", "HTTP/1.1 200 ", "\"status\":\"ok\"");
    fw_pulse_t *pulse = fw_health_pulse(fixture->health, "shard");
    fw_pulse_beat(pulse, fw_clock_ms() - FW_PULSE_MS_MAX - 1);
    expect(fixture, "GET", "/healthz", "HTTP/1.1 503 ", "\"status\":\"dead\"");
    fw_pulse_beat(pulse, fw_clock_ms());
    fw_health_set_draining(fixture->health);
    expect(fixture, "GET", "/readyz", "HTTP/1.1 503 ", "\"draining\":true");
    expect(fixture, "GET", "/healthz", "HTTP/1.1 200 ", "application/json");
}

static void head_has_the_length_and_no_body(void **state)
{
    const fixture_t *fixture = *state;
    char *answer = get(fixture, "HEAD", "/readyz");
    assert_int_equal(strncmp(answer, "HTTP/1.1 200 ", 13), 0);
    assert_non_null(strstr(answer, "content-length: "));
    const char *end = strstr(answer, "\r\n\r\n");
    assert_non_null(end);
    assert_int_equal(end[4], 0);
    free(answer);
}

static void one_connection_serves_many_requests(void **state)
{
    const fixture_t *fixture = *state;
    int fd = connect_to(fixture);
    for (int i = 0; i < 20; i++) {
        send_text(fd, i % 3 ? "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
                            : "HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
        char *answer = read_until(fd, i % 3 ? "not found\n" : "\r\n\r\n");
        assert_int_equal(strncmp(answer, "HTTP/1.1 404 ", 13), 0);
        free(answer);
    }
    (void)close(fd);
}

static void a_large_page_arrives_whole_at_a_slow_reader(void **state)
{
    const fixture_t *fixture = *state;
    for (int i = 0; i < 3000; i++) {
        char labels[64];
        (void)snprintf(labels, sizeof labels, "n=\"%d\"", i);
        (void)fw_metrics_histogram(fixture->metrics, "freshwire_large_seconds", "Large.", labels);
    }
    int fd = connect_to(fixture);
    int small = 32 * 1024;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    send_text(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    char *answer = read_until(fd, NULL);
    (void)close(fd);
    const char *body = strstr(answer, "\r\n\r\n");
    const char *length = strstr(answer, "content-length: ");
    assert_true(body && length);
    assert_non_null(strstr(answer, "content-type: text/plain; version=0.0.4"));
    assert_int_equal(strlen(body + 4), strtoul(length + strlen("content-length: "), NULL, 10));
    assert_true(strlen(body + 4) > 1000000);
    assert_non_null(strstr(answer, "freshwire_large_seconds_count{n=\"2999\"} 0\n"));
    assert_non_null(strstr(answer, "process_open_fds "));
    free(answer);
}

static void stop_is_prompt_also_with_open_connections(void **state)
{
    fixture_t *fixture = *state;
    int fd = connect_to(fixture);
    send_text(fd, "GET /metr");
    int64_t begin_ms = fw_clock_ms();
    fw_admin_stop(&fixture->admin);
    assert_true(fw_clock_ms() - begin_ms < 500);
    assert_null(fixture->admin);
    (void)close(fd);
}

static void it_can_be_started_and_stopped_again_and_again(void **state)
{
    fixture_t *fixture = *state;
    for (int i = 0; i < 10; i++) {
        fw_admin_stop(&fixture->admin);
        assert_int_equal(
            fw_admin_start("127.0.0.1:0", fixture->metrics, fixture->health, &fixture->admin), 0);
    }
    expect(fixture, "GET", "/healthz", "HTTP/1.1 200 ", "\"status\":\"ok\"");
}

int main(void)
{
#define ADMIN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ADMIN_TEST(an_address_that_cannot_be_had_is_refused),
        ADMIN_TEST(unknown_paths_and_methods_are_refused),
        ADMIN_TEST(an_upgrade_is_refused),
        ADMIN_TEST(garbage_and_giant_headers_disturb_nobody),
        ADMIN_TEST(a_silent_or_half_request_is_closed_in_time),
        ADMIN_TEST(connections_above_the_limit_are_closed_and_counted),
        ADMIN_TEST(health_and_readiness_are_told_apart),
        ADMIN_TEST(head_has_the_length_and_no_body),
        ADMIN_TEST(one_connection_serves_many_requests),
        ADMIN_TEST(a_large_page_arrives_whole_at_a_slow_reader),
        ADMIN_TEST(stop_is_prompt_also_with_open_connections),
        ADMIN_TEST(it_can_be_started_and_stopped_again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
