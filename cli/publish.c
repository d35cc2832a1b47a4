/* publish.c - freshwire publish: one event from flags, or many from standard input.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ack_json.h"
#include "cli/command.h"
#include "cli/duration.h"
#include "cli/event_arguments.h"
#include "cli/lines.h"
#include "cli/link_security.h"
#include "cli/options.h"
#include "clients/c/fire.h"
#include "clients/c/publisher.h"
#include "gateway/limits.h"
#include "gateway/publish_request.h"
#include "runtime/clock.h"
#include "runtime/log.h"

enum {
    TIMEOUT_MS = 10000,
    TIMEOUT_MS_MAX = 24 * 60 * 60 * 1000,
    LINE_SIZE_MAX = FW_POST_BYTES_MAX, /* as POST /v1/events: what works there works here */
};

typedef struct {
    const fw_call_t *call;
    fw_security_t *security;   /* NULL = a link without keys */
    fw_publisher_t *publisher; /* NULL with --fire */
    fw_fire_t *fire;
    fw_ack_level_t level;
    int64_t timeout_ms;
    char endpoint[FW_ENDPOINT_SIZE_MAX];
    bool was_connected;
    unsigned refused; /* by a rule, here or at the broker */
    unsigned unanswered;
} session_t;

static void done(void *context, uint64_t request_id, int error, const fw_publish_ack_t *ack)
{
    session_t *session = context;
    (void)request_id;
    session->unanswered += error != 0;
    session->refused += error == 0 && ack->status == FW_PUBLISH_REJECTED;
    char *text = fw_ack_json(error, ack);
    if (text) {
        (void)puts(text);
    }
    free(text);
    /* Whoever reads this through a pipe waits for it. */
    (void)fflush(stdout);
}

static void complain_refusal(uint64_t line, const fw_refusal_t *refusal)
{
    char where[32] = "";
    char limit[64] = "";
    if (line > 0) {
        (void)snprintf(where, sizeof where, "line %llu: ", (unsigned long long)line);
    }
    if (refusal->limit != 0 || refusal->value != 0) {
        (void)snprintf(limit, sizeof limit, " (limit %llu, value %llu)",
                       (unsigned long long)refusal->limit, (unsigned long long)refusal->value);
    }
    fw_complain(NULL, "%s%s%s%s%s", where, refusal->field, *refusal->field ? ": " : "",
                refusal->reason, limit);
}

/* 0; -EAGAIN when it must be tried again; another negative errno when the event is refused or lost.
 */
static int send_event(session_t *session, const fw_event_t *event, uint64_t line)
{
    fw_refusal_t refusal = {.field = ""};
    uint64_t request_id;
    int result;
    if (session->fire) {
        result = fw_fire_send(session->fire, event, &refusal);
    } else {
        result = fw_publisher_send(session->publisher, event, session->level, fw_clock_ms(),
                                   &request_id, &refusal);
    }
    if (result == -EMSGSIZE || result == -EPROTO) {
        session->refused++;
        complain_refusal(line, &refusal);
    }
    return result;
}

/* As above, for a line of standard input. */
static int send_line(session_t *session, const char *line, size_t size, uint64_t number)
{
    fw_publish_request_t request;
    fw_refusal_t refusal = {.field = ""};
    fw_bytes_t body = {(const uint8_t *)line, size};
    int result = fw_publish_request_parse(body, FW_TEXT_NONE, &request, &refusal);
    if (result != 0) {
        session->refused++;
        complain_refusal(number, &refusal);
        return result;
    }
    result = send_event(session, &request.event, number);
    fw_publish_request_clear(&request);
    return result;
}

/* Waits for what comes first: an answer, something due, or input. True when there is input. */
static bool wait_for_answers(session_t *session, bool for_input)
{
    zmq_pollitem_t items[2];
    int count = 0;
    long wait_ms = -1;
    if (for_input) {
        items[count++] = (zmq_pollitem_t){.fd = STDIN_FILENO, .events = ZMQ_POLLIN};
    }
    if (session->publisher) {
        int64_t now_ms = fw_clock_ms();
        zsock_t *socket = fw_publisher_socket(session->publisher);
        wait_ms = (long)(fw_publisher_deadline_ms(session->publisher, now_ms) - now_ms);
        if (socket) {
            items[count++] =
                (zmq_pollitem_t){.socket = zsock_resolve(socket), .events = ZMQ_POLLIN};
        }
    }
    if (session->fire) {
        int64_t left_ms = fw_fire_deadline_ms(session->fire) - fw_clock_ms();
        zsock_t *socket = fw_fire_socket(session->fire);
        wait_ms = left_ms > 0 ? (long)left_ms : 0;
        if (socket) {
            items[count++] =
                (zmq_pollitem_t){.socket = zsock_resolve(socket), .events = ZMQ_POLLIN};
        }
    }
    bool readable = zmq_poll(items, count, wait_ms) > 0 && for_input && items[0].revents != 0;
    if (session->fire) {
        fw_fire_service(session->fire, fw_clock_ms());
    }
    if (session->publisher) {
        fw_publisher_service(session->publisher, fw_clock_ms());
        session->was_connected |= fw_publisher_connected(session->publisher);
    }
    return readable;
}

/* Waits until the event that was refused with result may be tried again. False when there is no use
 * in it. */
static bool make_room(session_t *session, int result)
{
    if (result == -EAGAIN) {
        (void)wait_for_answers(session, false);
        return true;
    }
    if (result != -EHOSTUNREACH || session->unanswered > 0) {
        return false;
    }
    bool up = fw_fire_wait(session->fire, session->timeout_ms) == 0;
    session->was_connected |= up;
    session->unanswered += !up;
    return up;
}

static void publish_line(session_t *session, const char *line, size_t size, uint64_t number)
{
    /* A blank line is no event. */
    if (strspn(line, " \t") == size) {
        return;
    }
    int result;
    do {
        result = send_line(session, line, size, number);
    } while (make_room(session, result));
}

static void publish_lines(session_t *session)
{
    fw_lines_t *lines = fw_lines_new(STDIN_FILENO, LINE_SIZE_MAX);
    char *line = NULL;
    size_t size = 0;
    fw_lines_result_t next;
    while ((next = fw_lines_next(lines, &line, &size)) != FW_LINES_END &&
           !(session->fire && session->unanswered)) {
        if (next == FW_LINES_LINE) {
            publish_line(session, line, size, fw_lines_number(lines));
        } else if (next == FW_LINES_TOO_LONG) {
            session->refused++;
            fw_complain(NULL, "line %llu: is longer than %d bytes",
                        (unsigned long long)fw_lines_number(lines), LINE_SIZE_MAX);
        } else if (wait_for_answers(session, true)) {
            int result = fw_lines_read(lines);
            session->refused += result != 0;
            if (result != 0) {
                fw_complain(NULL, "cannot read standard input: %s", strerror(-result));
            }
        }
    }
    fw_lines_destroy(&lines);
}

static fw_exit_t publish_arguments(session_t *session)
{
    fw_event_arguments_t event;
    char error[FW_EVENT_ARGUMENTS_ERROR_SIZE];
    int result = fw_event_arguments_read(session->call->arguments, &event, error);
    if (result != 0) {
        fw_complain("see 'freshwire help publish'", "%s", error);
        return result == -EINVAL ? FW_EXIT_USAGE : FW_EXIT_FAILURE;
    }
    do {
        result = send_event(session, &event.event, 0);
    } while (make_room(session, result));
    fw_event_arguments_clear(&event);
    return FW_EXIT_OK;
}

static fw_exit_t judge(const session_t *session)
{
    const fw_refusal_t *refusal =
        session->publisher ? fw_publisher_refusal(session->publisher) : NULL;
    if (session->unanswered > 0 && !session->was_connected) {
        fw_complain(session->security
                        ? "is a broker running there, is its key in security.server_keys, and is "
                          "this key in its security.peers, as a publisher? Its log says"
                        : "is a broker running ('freshwire all' is one)? --endpoint, or "
                          "broker.host and broker.ports, say where",
                    "no broker answers at %s%s%s", session->endpoint,
                    refusal && *refusal->reason ? ": it refused: " : "",
                    refusal ? refusal->reason : "");
        return FW_EXIT_UNREACHABLE;
    }
    if (session->unanswered > 0) {
        fw_complain("they may still take effect; publish them again with the same --id to be sure",
                    "%u events were not acknowledged in time", session->unanswered);
        return FW_EXIT_FAILURE;
    }
    return session->refused > 0 ? FW_EXIT_FAILURE : FW_EXIT_OK;
}

static bool is_endpoint(const char *text)
{
    return strncmp(text, "tcp://", strlen("tcp://")) == 0 ||
           strncmp(text, "ipc://", strlen("ipc://")) == 0;
}

/* Where to publish to: the flag, the variable that the client libraries read too (if it does not
 * name a gateway), or the configured broker. */
static bool choose_endpoint(session_t *session)
{
    const fw_arguments_t *arguments = session->call->arguments;
    const char *given = fw_arguments_text(arguments, "endpoint");
    const char *variable = getenv("FRESHWIRE_PUBLISH_ENDPOINT");
    bool fires = fw_arguments_flag(arguments, "fire");
    if (!given && !fires && variable && is_endpoint(variable))
        given = variable;
    fw_endpoints_t endpoints;
    fw_options_connect_endpoints(session->call->config, FW_ROLE_WORKER, &endpoints);
    const char *configured = fires ? endpoints.fire : endpoints.publish;
    (void)snprintf(session->endpoint, sizeof session->endpoint, "%s", given ? given : configured);
    if (is_endpoint(session->endpoint))
        return true;
    fw_complain("over HTTP, use POST /v1/events of a gateway, for example with curl",
                "%s is not the broker's endpoint: tcp://host:port", session->endpoint);
    return false;
}

static bool choose_level(session_t *session)
{
    const char *level = fw_arguments_text(session->call->arguments, "level");
    session->level = level && strcmp(level, "accepted") == 0 ? FW_ACK_ACCEPTED : FW_ACK_PURGED;
    if (!level || session->level == FW_ACK_ACCEPTED || strcmp(level, "purged") == 0) {
        return true;
    }
    fw_complain(NULL, "--level must be accepted or purged, not \"%.80s\"", level);
    return false;
}

static fw_exit_t open_link(session_t *session)
{
    fw_publisher_options_t options = {.endpoint = session->endpoint,
                                      .name = "freshwire publish",
                                      .timeout_ms = session->timeout_ms,
                                      .security = session->security};
    int result;
    if (fw_arguments_flag(session->call->arguments, "fire")) {
        fw_fire_options_t fire = {.endpoint = session->endpoint, .security = session->security};
        result = fw_fire_new(&fire, &session->fire);
    } else {
        result = fw_publisher_new(&options, done, session, &session->publisher);
    }
    if (result == 0) {
        return FW_EXIT_OK;
    }
    fw_complain("for example --endpoint tcp://127.0.0.1:7002", "%s: %s", session->endpoint,
                fw_log_error_text(result));
    return FW_EXIT_USAGE;
}

fw_exit_t fw_publish_command(const fw_call_t *call)
{
    session_t session = {.call = call, .timeout_ms = TIMEOUT_MS};
    const char *timeout = fw_arguments_text(call->arguments, "timeout");
    fw_config_error_t error;
    if (!choose_level(&session) || !choose_endpoint(&session)) {
        return FW_EXIT_USAGE;
    }
    if (timeout && fw_duration_parse("timeout", timeout, 1, TIMEOUT_MS_MAX, &session.timeout_ms,
                                     &error) != 0) {
        fw_complain(NULL, "%s", error.text);
        return FW_EXIT_USAGE;
    }
    if (fw_link_security_make(call->config, FW_ROLE_WORKER, &session.security, &error) != 0) {
        fw_complain(NULL, "%s", error.text);
        return FW_EXIT_CONFIG;
    }
    /* Ctrl-C ends this command as any other. */
    zsys_handler_set(NULL);
    fw_exit_t result = open_link(&session);
    if (result == FW_EXIT_OK && fw_arguments_flag(call->arguments, "stdin")) {
        publish_lines(&session);
    } else if (result == FW_EXIT_OK) {
        result = publish_arguments(&session);
    }
    while (session.publisher && fw_publisher_in_flight(session.publisher) > 0) {
        wait_for_answers(&session, false);
    }
    if (result == FW_EXIT_OK) {
        result = judge(&session);
    }
    fw_publisher_destroy(&session.publisher);
    fw_fire_destroy(&session.fire, (int)session.timeout_ms);
    fw_security_destroy(&session.security);
    zsys_shutdown();
    return result;
}
