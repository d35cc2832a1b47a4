/* test_gateway_input.c - bad input at the WebSocket and HTTP doors.
 * SPDX-License-Identifier: MPL-2.0
 * Each is refused with a clear answer, counted, and disturbs nobody else: a witness stays connected
 * all the time. */
#include "tests/support/gateway_fixture.h"

#include <string.h>

#define OURS "freshwire.v1.json"

static gateway_fixture_t fixture;
static ws_client_t *witness;

static int set_up(void **state)
{
    (void)state;
    static const char *const origins[] = {"https://app.example"};
    fixture = gateway_fixture_new();
    fixture.config.message_bytes_max = 4096;
    fixture.config.origins = origins;
    fixture.config.origins_count = 1;
    fixture.config.sessions_max = 20;
    fixture.config.prefix = "/api";
    gateway_fixture_start(&fixture);
    witness = gateway_open(&fixture, "/api/ws", NULL, NULL);
    (void)expect(witness, "{\"type\":\"fw.welcome\"");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ws_close(&witness);
    gateway_fixture_end(&fixture);
    return 0;
}

static int check_witness(void **state)
{
    (void)state;
    (void)fake_broker_release(fixture.broker,
                              &(fake_event_t){.channel = "broadcast", .type = "witnessed"});
    (void)expect(witness, "{\"type\":\"witnessed\"");
    return 0;
}

static ws_client_t *open_welcomed(void)
{
    ws_client_t *client = gateway_open(&fixture, "/api/ws", NULL, NULL);
    (void)expect(client, "{\"type\":\"fw.welcome\"");
    return client;
}

static void check_closed(ws_client_t **client_p, int code)
{
    char series[64];
    (void)snprintf(series, sizeof series, "freshwire_disconnects_total{code=\"%d\"}", code);
    expect_close(*client_p, code, NULL);
    assert_true(gateway_metric(&fixture, series) >= 1);
    ws_close(client_p);
}

static void binary_text_and_sizes_have_their_codes(void **state)
{
    (void)state;
    ws_client_t *client = open_welcomed();
    assert_true(ws_send_frame(client, true, 2, "\x01\x02", 2));
    check_closed(&client, 1003);
    client = open_welcomed();
    assert_true(ws_send_frame(client, true, 1, "{\"a\":\"\xff\xfe\"}", 9));
    check_closed(&client, 1007);
    client = open_welcomed();
    assert_true(ws_send_frame(client, true, 1, "\xed\xa0\x80", 3)); /* a surrogate */
    check_closed(&client, 1007);
    char *large = calloc(1, 4098);
    memset(large, 'x', 4097);
    client = open_welcomed();
    assert_true(ws_send_frame(client, true, 1, large, 4097));
    check_closed(&client, 1009);
    client = open_welcomed();
    assert_true(ws_send_frame(client, true, 1, large, 4096));
    (void)expect(client, "{\"type\":\"fw.error\",\"code\":4400,\"reason\":\"not a JSON object\"");
    ws_close(&client);
    free(large);
}

static void a_length_of_exabytes_reserves_nothing(void **state)
{
    (void)state;
    ws_client_t *client = open_welcomed();
    assert_true(ws_send_raw(client, "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14));
    char piece[512];
    memset(piece, 'x', sizeof piece);
    for (int i = 0; i < 16; i++)
        (void)ws_send_raw(client, piece, sizeof piece);
    check_closed(&client, 1009);
}

static void fragments_are_joined_and_bounded(void **state)
{
    (void)state;
    ws_client_t *client = open_welcomed();
    assert_true(ws_send_frame(client, false, 1, "{\"type\":", 8));
    assert_true(ws_send_frame(client, false, 0, "", 0));
    assert_true(ws_send_frame(client, true, 9, "between", 7));
    assert_true(ws_send_frame(client, true, 0, "\"fw.ping\"}", 10));
    (void)expect(client, "{\"type\":\"fw.pong\"}");
    char piece[100];
    memset(piece, 'x', sizeof piece);
    assert_true(ws_send_frame(client, false, 1, piece, sizeof piece));
    for (int i = 0; i < 60; i++)
        (void)ws_send_frame(client, false, 0, piece, sizeof piece);
    check_closed(&client, 1009);
    client = open_welcomed();
    assert_true(ws_send_frame(client, false, 1, "", 0));
    for (int i = 0; i < 100; i++)
        (void)ws_send_frame(client, false, 0, "", 0);
    check_closed(&client, 4400);
}

static void broken_frames_end_only_their_connection(void **state)
{
    (void)state;
    const struct {
        const char *bytes;
        size_t size;
    } frames[] = {
        {"\x81\x01x", 3},                           /* no mask */
        {"\x88\x81\0\0\0\0\x03", 7},                /* half a close code */
        {"\x88\x82\0\0\0\0\x03\xed", 8},            /* a close code that must not be sent */
        {"\x83\x80\0\0\0\0", 6},                    /* an opcode that is reserved */
        {"\xc1\x81\0\0\0\0x", 7},                   /* a bit that no extension has claimed */
        {"\x80\x81\0\0\0\0x", 7},                   /* a continuation of nothing */
        {"\x09\x80\0\0\0\0", 6},                    /* a fragmented ping */
        {"\x89\xfe\x00\xff\0\0\0\0", 8},            /* a ping with a long length */
        {"\x01\x81\0\0\0\0x\x01\x81\0\0\0\0x", 14}, /* a second begin */
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        ws_client_t *client = open_welcomed();
        assert_true(ws_send_raw(client, frames[i].bytes, frames[i].size));
        int code = ws_receive_close(client, WS_WAIT_MS);
        assert_int_equal(code, 1002);
        ws_close(&client);
    }
}

static void bad_messages_are_answered_again_and_again(void **state)
{
    (void)state;
    static const char series[] = "freshwire_refused_total{door=\"websocket\",reason=\"message\"}";
    gateway_await_metric(&fixture, series, 1); /* of the first test: it is counted a tick later */
    const char *texts[] = {"x",
                           "",
                           "[]",
                           "{\"type\":\"fw.nope\"}",
                           "{\"type\":\"project_updated\"}",
                           "{\"type\":\"fw.hello\",\"subscriptions\":7}"};
    ws_client_t *client = open_welcomed();
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            assert_true(ws_send_text(client, texts[i]));
            (void)expect(client, "{\"type\":\"fw.error\",\"code\":4400");
        }
    }
    gateway_await_metric(&fixture, series, 1 + 4 * sizeof texts / sizeof *texts);
    ws_close(&client);
}

static void a_flood_of_messages_is_ended(void **state)
{
    (void)state;
    ws_client_t *client = open_welcomed();
    for (int i = 0; i < 400; i++)
        (void)ws_send_text(client, "{\"type\":\"fw.pong\"}");
    check_closed(&client, 4290);
}

static void check_http(const char *request, int status, const char *in_body)
{
    ws_client_t *client = ws_dial(fixture.port, 0);
    int answered = ws_request(client, request, NULL);
    if (answered != status)
        fail_msg("%s was answered by %d, not %d", request, answered, status);
    if (in_body)
        assert_non_null(strstr(ws_body(client), in_body));
    if (status >= 400 && in_body)
        assert_non_null(strstr(ws_head(client), "application/problem+json"));
    ws_close(&client);
}

#define UPGRADE(path, more)                                                                        \
    "GET " path " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" more "\r\n"

static void upgrades_that_are_none_are_refused(void **state)
{
    (void)state;
    check_http(UPGRADE("/api/nowhere", ""), 404, "no such endpoint");
    check_http(UPGRADE("/ws", ""), 404, "no such endpoint");
    check_http(UPGRADE("/api/v1/events", ""), 404, "no such endpoint");
    check_http(UPGRADE("/api/ws/room/a&b", ""), 404, "no such endpoint");
    check_http(UPGRADE("/api/ws", "Origin: https://evil.example\r\n"), 403, "Origin");
    check_http(UPGRADE("/api/ws", "Origin: https://app.example\r\n"), 101, NULL);
    check_http(UPGRADE("/api/ws", "Sec-WebSocket-Protocol: a,,b\r\n"), 400, "handshake");
    check_http("GET /api/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\n\r\n",
               400, "handshake");
    check_http("GET /api/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
               400, "handshake");
    check_http("GET /api/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
               426, "version 13");
    check_http("POST /api/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
               400, "handshake");
}

static void http2_is_not_spoken(void **state)
{
    (void)state;
    check_http("GET /api/ws HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, "
               "HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
               426, "websocket");
    ws_client_t *client = ws_dial(fixture.port, 0);
    assert_true(ws_send_raw(client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33));
    int status = ws_answer(client, WS_WAIT_MS);
    assert_true(status == 0 || status == 403);
    ws_close(&client);
}

static void an_unknown_upgrade_is_refused(void **state)
{
    (void)state;
    ws_client_t *client = ws_dial(fixture.port, 0);
    int status = ws_request(
        client, "GET /api/ws HTTP/1.1\r\nHost: x\r\nUpgrade: tls/9\r\nConnection: Upgrade\r\n\r\n",
        NULL);
    assert_int_equal(status, 403); /* by the library itself */
    ws_close(&client);
}

static void what_is_said_together_with_the_upgrade_is_heard(void **state)
{
    (void)state;
    static const char upgrade[] =
        UPGRADE("/api/ws", "Sec-WebSocket-Protocol: " OURS "\r\n") "\x81\x93\0\0\0\0"
                                                                   "{\"type\":\"fw.hello\"}";
    ws_client_t *client = ws_dial(fixture.port, 0);
    assert_true(ws_send_raw(client, upgrade, sizeof upgrade - 1));
    assert_int_equal(ws_answer(client, WS_WAIT_MS), 101);
    (void)expect(client, "{\"type\":\"fw.welcome\"");
    ws_close(&client);
}

static void garbage_on_the_port_is_dropped(void **state)
{
    (void)state;
#define GARBAGE(text)                                                                              \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
    const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        GARBAGE("\x16\x03\x01\x02\0\x01\0"), /* TLS */
        GARBAGE("\0\0\0\0\0\0\0\0\r\n\r\n"),
        GARBAGE("nonsense\r\n\r\n"),
        GARBAGE("GET\r\n\r\n"),
        GARBAGE("GET / HTTP/1.1\r\n: x\r\n\r\n"),
        GARBAGE("GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n"),
        GARBAGE("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ws_client_t *client = ws_dial(fixture.port, 0);
        (void)ws_send_raw(client, cases[i].bytes, cases[i].size);
        int status = ws_answer(client, 500);
        assert_true(status == 0 || status >= 400);
        ws_close(&client);
    }
}

static void too_large_headers_are_dropped(void **state)
{
    (void)state;
    ws_client_t *client = ws_dial(fixture.port, 0);
    char *header = malloc(40000);
    memset(header, 'a', 40000);
    static const char head[] = "GET /api/ws HTTP/1.1\r\nHost: x\r\nCookie: ";
    assert_true(ws_send_raw(client, head, sizeof head - 1));
    (void)ws_send_raw(client, header, 40000);
    (void)ws_send_raw(client, "\r\n\r\n", 4);
    int status = ws_answer(client, WS_WAIT_MS);
    assert_true(status == 0 || status >= 400);
    ws_close(&client);
    /* Cookies of a usual size are no trouble. */
    header[4000] = '\0';
    char *request = malloc(8000);
    (void)snprintf(request, 8000, "Cookie: %s\r\n", header);
    ws_options_t options = {.path = "/api/ws", .headers = request};
    client = ws_open(fixture.port, &options);
    ws_close(&client);
    free(request);
    free(header);
}

static void more_sessions_than_allowed_are_refused_with_a_time_to_come_back(void **state)
{
    (void)state;
    ws_client_t *clients[20] = {NULL};
    ws_options_t options = {.path = "/api/ws"};
    gateway_await_metric(&fixture, "freshwire_sessions", 1);
    for (int i = 0; i < 19; i++)
        clients[i] = open_welcomed();
    clients[19] = ws_try(fixture.port, &options);
    assert_int_equal(ws_status(clients[19]), 503);
    const char *after = strstr(ws_head(clients[19]), "\r\nRetry-After: ");
    assert_non_null(after); /* not all at once */
    assert_in_range(strtoul(after + strlen("\r\nRetry-After: "), NULL, 10), 3, 6);
    assert_non_null(strstr(ws_body(clients[19]), "too many sessions"));
    assert_true(
        gateway_metric(&fixture, "freshwire_refused_total{door=\"upgrade\",reason=\"sessions\"}") >=
        1);
    gateway_await_metric(&fixture, "freshwire_sessions", 20); /* it is reported a tick later */
    for (int i = 0; i < 20; i++)
        ws_close(&clients[i]);
    gateway_await_metric(&fixture, "freshwire_sessions", 1);
    clients[0] = open_welcomed();
    ws_close(&clients[0]);
}

static void random_bytes_after_the_upgrade_crash_nothing(void **state)
{
    (void)state;
    uint64_t seed = 12345;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 60; i++) {
        uint8_t bytes[300];
        for (size_t k = 0; k < sizeof bytes; k++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            bytes[k] = (uint8_t)(seed >> 56);
        }
        ws_client_t *client = gateway_open(&fixture, "/api/ws", i % 2 ? OURS : NULL, NULL);
        (void)ws_send_raw(client, bytes, sizeof bytes);
        ws_pause(5);
        ws_close(&client);
    }
    gateway_await_metric(&fixture, "freshwire_sessions", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(binary_text_and_sizes_have_their_codes, check_witness),
        cmocka_unit_test_teardown(a_length_of_exabytes_reserves_nothing, check_witness),
        cmocka_unit_test_teardown(fragments_are_joined_and_bounded, check_witness),
        cmocka_unit_test_teardown(broken_frames_end_only_their_connection, check_witness),
        cmocka_unit_test_teardown(bad_messages_are_answered_again_and_again, check_witness),
        cmocka_unit_test_teardown(a_flood_of_messages_is_ended, check_witness),
        cmocka_unit_test_teardown(upgrades_that_are_none_are_refused, check_witness),
        cmocka_unit_test_teardown(http2_is_not_spoken, check_witness),
        cmocka_unit_test_teardown(an_unknown_upgrade_is_refused, check_witness),
        cmocka_unit_test_teardown(what_is_said_together_with_the_upgrade_is_heard, check_witness),
        cmocka_unit_test_teardown(garbage_on_the_port_is_dropped, check_witness),
        cmocka_unit_test_teardown(too_large_headers_are_dropped, check_witness),
        cmocka_unit_test_teardown(more_sessions_than_allowed_are_refused_with_a_time_to_come_back,
                                  check_witness),
        cmocka_unit_test_teardown(random_bytes_after_the_upgrade_crash_nothing, check_witness),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
