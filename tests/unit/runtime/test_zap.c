/* test_zap.c - links with keys, over real sockets.   SPDX-License-Identifier: MPL-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "keys.h"
#include "runtime/clock.h"
#include "runtime/keyguard.h"
#include "runtime/socket.h"
#include "runtime/zap.h"

enum { DEADLINE_MS = 10000, SILENCE_MS = 700, FILLERS_MAX = 8 };

enum { ATTEMPTS_MAX = 4 * FILLERS_MAX, WORLDS_MAX = 10 }; /* until a descriptor comes again */

typedef struct {
    keys_t broker, worker, gateway, stranger;
    fw_metrics_t *metrics;
    fw_health_t *health;
    fw_security_t *security;
    fw_zap_t *zap;
    zsock_t *bound; /* the door "jobs" */
    char *endpoint;
} fixture_t;

static zsock_t *bind_door(const fw_security_t *security, fw_domain_t domain, char **ret_endpoint)
{
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    zsock_t *bound = NULL;
    settings.security = security;
    settings.domain = domain;
    assert_int_equal(fw_socket_open(&settings, "tcp://127.0.0.1:*", &bound), 0);
    *ret_endpoint = fw_socket_endpoint(bound);
    return bound;
}

static zsock_t *join_door(const fw_security_t *security, unsigned server_key, const char *endpoint)
{
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_DEALER_CONNECT);
    zsock_t *joined = NULL;
    settings.security = security;
    settings.server_key = server_key;
    assert_int_equal(fw_socket_open(&settings, endpoint, &joined), 0);
    return joined;
}

static int begin(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    f->broker = keys_make();
    f->worker = keys_make();
    f->gateway = keys_make();
    f->stranger = keys_make();
    const char *peers[] = {keys_rule(&f->worker, "w", "worker", ""),
                           keys_rule(&f->gateway, "g", "gateway", "")};
    f->metrics = fw_metrics_new();
    f->health = fw_health_new();
    f->security = keys_broker(&f->broker, peers, 2);
    assert_int_equal(fw_zap_start(f->security, f->metrics, f->health, &f->zap), 0);
    f->bound = bind_door(f->security, FW_DOMAIN_JOBS, &f->endpoint);
    *state = f;
    return 0;
}

static int end(void **state)
{
    fixture_t *f = *state;
    zsock_destroy(&f->bound);
    free(f->endpoint);
    fw_zap_stop(&f->zap);
    fw_security_destroy(&f->security);
    fw_health_destroy(&f->health);
    fw_metrics_destroy(&f->metrics);
    free(f);
    return 0;
}

static uint64_t refused(const fixture_t *f, const char *door, const char *reason)
{
    char labels[64];
    (void)snprintf(labels, sizeof labels, "door=\"%s\",reason=\"%s\"", door, reason);
    return fw_counter_value(
        fw_metrics_counter(f->metrics, "freshwire_links_refused_total",
                           "Connections and messages refused because of their key.", labels));
}

/* Sends until the door has got one, at most so long. The frame is the caller's to close. */
static bool reaches(zsock_t *from, zsock_t *bound, int64_t wait_ms, zmq_msg_t *frame)
{
    int64_t give_up_ms = fw_clock_ms() + wait_ms;
    fw_peer_t peer;
    while (fw_clock_ms() < give_up_ms) {
        (void)!fw_socket_send(from, (fw_bytes_t){(const uint8_t *)"hello", 5});
        zmq_pollitem_t item = {zsock_resolve(bound), 0, ZMQ_POLLIN, 0};
        (void)zmq_poll(&item, 1, 10);
        if (fw_socket_receive_from(bound, &peer, frame) == 0)
            return true;
    }
    return false;
}

static bool key_reaches(const fixture_t *f, const keys_t *keys, const keys_t *server,
                        int64_t wait_ms)
{
    fw_security_t *security = keys_peer(keys, server);
    zsock_t *joined = join_door(security, 0, f->endpoint);
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    bool result = reaches(joined, f->bound, wait_ms, &frame);
    if (result) {
        fw_text_t user = fw_socket_user(&frame);
        assert_string_equal(user.text, keys->public_key);
    }
    (void)zmq_msg_close(&frame);
    zsock_destroy(&joined);
    fw_security_destroy(&security);
    return result;
}

static void an_unknown_key_is_refused_and_counted(void **state)
{
    fixture_t *f = *state;
    assert_false(key_reaches(f, &f->stranger, &f->broker, SILENCE_MS));
    assert_true(refused(f, "jobs", "unknown_key") > 0);
}

static void a_key_of_another_role_is_refused_and_counted(void **state)
{
    fixture_t *f = *state;
    assert_false(key_reaches(f, &f->gateway, &f->broker, SILENCE_MS));
    assert_true(refused(f, "jobs", "wrong_role") > 0);
    assert_int_equal(refused(f, "jobs", "unknown_key"), 0);
}

static void who_takes_somebody_else_for_the_broker_does_not_talk_to_it(void **state)
{
    fixture_t *f = *state;
    assert_false(key_reaches(f, &f->worker, &f->stranger, SILENCE_MS));
}

static void a_plaintext_peer_does_not_get_in(void **state)
{
    fixture_t *f = *state;
    zsock_t *joined = join_door(NULL, 0, f->endpoint);
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    assert_false(reaches(joined, f->bound, SILENCE_MS, &frame));
    (void)zmq_msg_close(&frame);
    zsock_destroy(&joined);
}

static void without_a_handler_nobody_gets_in(void **state)
{
    fixture_t *f = *state;
    fw_zap_stop(&f->zap);
    assert_false(key_reaches(f, &f->worker, &f->broker, SILENCE_MS));
    /* And with one again, the same key does: so it was for want of the handler. */
    assert_int_equal(fw_zap_start(f->security, f->metrics, f->health, &f->zap), 0);
    assert_true(key_reaches(f, &f->worker, &f->broker, DEADLINE_MS));
}

static void there_is_one_handler_in_a_process(void **state)
{
    fixture_t *f = *state;
    fw_zap_t *second = NULL;
    assert_int_equal(fw_zap_start(f->security, f->metrics, f->health, &second), -EADDRINUSE);
    assert_null(second);
}

static void a_known_key_gets_in_and_is_named_in_every_message(void **state)
{
    fixture_t *f = *state;
    assert_true(key_reaches(f, &f->worker, &f->broker, DEADLINE_MS));
    assert_int_equal(refused(f, "jobs", "unknown_key"), 0);
}

static void a_key_that_is_added_gets_in_by_the_connection_that_was_refused(void **state)
{
    fixture_t *f = *state;
    fw_security_t *security = keys_peer(&f->stranger, &f->broker);
    zsock_t *joined = join_door(security, 0, f->endpoint);
    const char *peers[] = {keys_rule(&f->stranger, "late", "worker", "")};
    fw_config_error_t error;
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    int64_t give_up_ms = fw_clock_ms() + DEADLINE_MS;
    while (refused(f, "jobs", "unknown_key") == 0 && fw_clock_ms() < give_up_ms)
        (void)zmq_poll(NULL, 0, 5);
    assert_int_equal(fw_security_replace_peers(f->security, peers, 1, &error), 0);
    assert_true(reaches(joined, f->bound, DEADLINE_MS, &frame));
    (void)zmq_msg_close(&frame);
    zsock_destroy(&joined);
    fw_security_destroy(&security);
}

static void with_two_server_keys_one_of_them_is_the_brokers(void **state)
{
    fixture_t *f = *state;
    const char *servers[] = {f->stranger.public_key, f->broker.public_key};
    fw_security_options_t options = {
        .secret_key = f->worker.secret_key, .server_keys = servers, .server_keys_count = 2};
    fw_security_t *security = NULL;
    fw_config_error_t error;
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    assert_int_equal(fw_security_new(&options, &security, &error), 0);
    assert_int_equal(fw_security_server_keys_count(security), 2);
    zsock_t *wrong = join_door(security, 2, f->endpoint);
    assert_false(reaches(wrong, f->bound, SILENCE_MS, &frame));
    zsock_destroy(&wrong);
    zsock_t *right = join_door(security, 3, f->endpoint);
    assert_true(reaches(right, f->bound, DEADLINE_MS, &frame));
    zsock_destroy(&right);
    (void)zmq_msg_close(&frame);
    fw_security_destroy(&security);
}

static void questions_that_make_no_sense_are_survived(void **state)
{
    fixture_t *f = *state;
    zsock_t *link = zsock_new(ZMQ_DEALER);
    void *asker = zsock_resolve(link);
    assert_int_equal(zmq_connect(asker, "inproc://zeromq.zap.01"), 0);
    static const char *const questions[][12] = {
        {"x", NULL},
        {"", NULL},
        {"", "1.0", NULL},
        {"", "9.9", "1", "jobs", "a", "", "CURVE", "12345678901234567890123456789012", NULL},
        {"", "1.0", "1", "jobs", "a", "", "NULL", NULL},
        {"", "1.0", "1", "jobs", "a", "", "CURVE", "short", NULL},
        {"", "1.0", "1", "jobs", "a", "", "CURVE", "k", "k", "k", "k", NULL},
    };
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        for (const char *const *part = questions[i]; *part; part++)
            assert_true(zmq_send(asker, *part, strlen(*part), part[1] ? ZMQ_SNDMORE : 0) >= 0);
    int64_t give_up_ms = fw_clock_ms() + DEADLINE_MS;
    while (refused(f, "none", "malformed") < sizeof questions / sizeof *questions) {
        assert_true(fw_clock_ms() < give_up_ms);
        (void)zmq_poll(NULL, 0, 5);
    }
    assert_true(key_reaches(f, &f->worker, &f->broker, DEADLINE_MS));
    zsock_destroy(&link);
}

/* --- the guard */

typedef struct {
    fw_keyguard_t *guard;
    fw_security_t *old_key, *new_key;
    zsock_t *old_link, *new_link;
} links_t;

static void look(fixture_t *f, links_t *links, zsock_t *from, int expected)
{
    zmq_msg_t frame;
    const fw_holder_t *holder = NULL;
    (void)zmq_msg_init(&frame);
    assert_true(reaches(from, f->bound, DEADLINE_MS, &frame));
    assert_int_equal(fw_keyguard_look(links->guard, FW_DOMAIN_JOBS, &frame, fw_clock_ms(), &holder),
                     expected);
    assert_int_equal(holder != NULL, expected == 0);
    (void)zmq_msg_close(&frame);
}

static uint64_t cuts(const fixture_t *f)
{
    return fw_counter_value(fw_metrics_counter(
        f->metrics, "freshwire_links_cut_total",
        "Connections shut down because their key was removed.", "door=\"jobs\""));
}

static links_t open_links(fixture_t *f)
{
    links_t links = {.guard = fw_keyguard_new(f->security, f->metrics)};
    const char *peers[] = {keys_rule(&f->worker, "w", "worker", ""),
                           keys_rule(&f->stranger, "w", "worker", "")};
    fw_config_error_t error;
    assert_int_equal(fw_security_replace_peers(f->security, peers, 2, &error), 0);
    fw_keyguard_watch(links.guard, FW_DOMAIN_JOBS, f->bound);
    fw_keyguard_refresh(links.guard, fw_clock_ms());
    links.old_key = keys_peer(&f->worker, &f->broker);
    links.new_key = keys_peer(&f->stranger, &f->broker);
    links.old_link = join_door(links.old_key, 0, f->endpoint);
    links.new_link = join_door(links.new_key, 0, f->endpoint);
    return links;
}

static void close_links(links_t *links)
{
    zsock_destroy(&links->old_link);
    zsock_destroy(&links->new_link);
    fw_security_destroy(&links->old_key);
    fw_security_destroy(&links->new_key);
    fw_keyguard_destroy(&links->guard);
}

static void a_key_that_is_removed_loses_its_connection_and_no_other_does(void **state)
{
    fixture_t *f = *state;
    links_t links = open_links(f);
    const char *peers[] = {keys_rule(&f->stranger, "w", "worker", "")};
    fw_config_error_t error;
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    look(f, &links, links.old_link, 0);
    look(f, &links, links.new_link, 0);
    assert_int_equal(fw_security_replace_peers(f->security, peers, 1, &error), 0);
    fw_keyguard_refresh(links.guard, fw_clock_ms());
    assert_int_equal(cuts(f), 1);
    /* What the old one had sent before may still be read; then there is silence. */
    while (reaches(links.old_link, f->bound, SILENCE_MS, &frame)) {
        const fw_holder_t *holder = NULL;
        assert_int_equal(
            fw_keyguard_look(links.guard, FW_DOMAIN_JOBS, &frame, fw_clock_ms(), &holder), -EACCES);
    }
    assert_true(refused(f, "jobs", "unknown_key") > 0);
    look(f, &links, links.new_link, 0);
    assert_int_equal(cuts(f), 1);
    (void)zmq_msg_close(&frame);
    close_links(&links);
}

/* Two connections of different keys, one after the other, by the same descriptor; frames get a
 * message of each. False when the descriptor did not come again: something else has it. */
static bool take_turns(fixture_t *f, links_t *links, zmq_msg_t frames[2])
{
    zsock_destroy(&links->new_link);
    assert_true(reaches(links->old_link, f->bound, DEADLINE_MS, &frames[0]));
    zsock_destroy(&links->old_link);
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        int fillers[FILLERS_MAX];
        int count = attempt % FILLERS_MAX;
        zsock_destroy(&links->new_link);
        (void)zmq_poll(NULL, 0, 5);
        /* Numbers are given out from below: so many are skipped. */
        for (int i = 0; i < count; i++)
            fillers[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        links->new_link = join_door(links->new_key, 0, f->endpoint);
        do
            assert_true(reaches(links->new_link, f->bound, DEADLINE_MS, &frames[1]));
        while (strcmp(fw_socket_user(&frames[1]).text, f->stranger.public_key) != 0);
        for (int i = 0; i < count; i++)
            (void)close(fillers[i]);
        if (zmq_msg_get(&frames[1], ZMQ_SRCFD) == zmq_msg_get(&frames[0], ZMQ_SRCFD))
            return true;
    }
    return false;
}

/* How many are cut when the first key is removed, if the second came so much later. */
static uint64_t cut_after_turns(fixture_t *f, int64_t later_ms)
{
    links_t links = open_links(f);
    const char *peers[] = {keys_rule(&f->stranger, "w", "worker", "")};
    fw_config_error_t error;
    const fw_holder_t *holder = NULL;
    const int64_t now_ms = fw_clock_ms();
    zmq_msg_t frames[2];
    for (size_t i = 0; i < 2; i++)
        (void)zmq_msg_init(&frames[i]);
    int worlds = 1;
    while (!take_turns(f, &links, frames)) {
        assert_true(worlds++ < WORLDS_MAX);
        close_links(&links);
        links = open_links(f);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(fw_keyguard_look(links.guard, FW_DOMAIN_JOBS, &frames[i],
                                          now_ms + i * later_ms, &holder),
                         0);
    assert_int_equal(fw_security_replace_peers(f->security, peers, 1, &error), 0);
    fw_keyguard_refresh(links.guard, now_ms + later_ms);
    for (size_t i = 0; i < 2; i++)
        (void)zmq_msg_close(&frames[i]);
    close_links(&links);
    return cuts(f);
}

static void a_connection_that_came_right_after_one_of_a_removed_key_is_cut_to_be_sure(void **state)
{
    assert_int_equal(cut_after_turns(*state, FW_KEYGUARD_OVERLAP_MS - 1), 1);
}

static void a_connection_that_came_later_is_not(void **state)
{
    assert_int_equal(cut_after_turns(*state, FW_KEYGUARD_OVERLAP_MS), 0);
}

static void a_message_of_a_removed_key_is_refused_and_cuts_its_connection(void **state)
{
    fixture_t *f = *state;
    links_t links = open_links(f);
    const char *peers[] = {keys_rule(&f->stranger, "w", "worker", "")};
    fw_config_error_t error;
    zmq_msg_t frame;
    const fw_holder_t *holder = NULL;
    (void)zmq_msg_init(&frame);
    /* Nothing of it was looked at before: the guard does not know its connection yet. */
    assert_true(reaches(links.old_link, f->bound, DEADLINE_MS, &frame));
    assert_int_equal(fw_security_replace_peers(f->security, peers, 1, &error), 0);
    fw_keyguard_refresh(links.guard, fw_clock_ms());
    assert_int_equal(cuts(f), 0);
    assert_int_equal(fw_keyguard_look(links.guard, FW_DOMAIN_JOBS, &frame, fw_clock_ms(), &holder),
                     -EACCES);
    assert_int_equal(refused(f, "jobs", "removed"), 1);
    assert_int_equal(cuts(f), 1);
    (void)zmq_msg_close(&frame);
    close_links(&links);
}

static void a_socket_in_this_process_needs_no_key(void **state)
{
    fixture_t *f = *state;
    fw_keyguard_t *guard = fw_keyguard_new(f->security, f->metrics);
    fw_security_t *security = keys_peer(&f->stranger, &f->broker);
    fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_ROUTER_BIND);
    zsock_t *bound = NULL;
    zmq_msg_t frame;
    const fw_holder_t *holder = NULL;
    (void)zmq_msg_init(&frame);
    settings.security = f->security;
    assert_int_equal(fw_socket_open(&settings, "inproc://test-zap,tcp://127.0.0.1:*", &bound), 0);
    zsock_t *joined = join_door(security, 0, "inproc://test-zap");
    assert_true(reaches(joined, bound, DEADLINE_MS, &frame));
    assert_int_equal(fw_keyguard_look(guard, FW_DOMAIN_FIRE, &frame, fw_clock_ms(), &holder), 0);
    assert_null(holder);
    (void)zmq_msg_close(&frame);
    zsock_destroy(&joined);
    zsock_destroy(&bound);
    fw_security_destroy(&security);
    fw_keyguard_destroy(&guard);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_unknown_key_is_refused_and_counted),
        TEST(a_key_of_another_role_is_refused_and_counted),
        TEST(who_takes_somebody_else_for_the_broker_does_not_talk_to_it),
        TEST(a_plaintext_peer_does_not_get_in),
        TEST(without_a_handler_nobody_gets_in),
        TEST(there_is_one_handler_in_a_process),
        TEST(questions_that_make_no_sense_are_survived),
        TEST(a_known_key_gets_in_and_is_named_in_every_message),
        TEST(a_key_that_is_added_gets_in_by_the_connection_that_was_refused),
        TEST(with_two_server_keys_one_of_them_is_the_brokers),
        TEST(a_key_that_is_removed_loses_its_connection_and_no_other_does),
        TEST(a_connection_that_came_right_after_one_of_a_removed_key_is_cut_to_be_sure),
        TEST(a_connection_that_came_later_is_not),
        TEST(a_message_of_a_removed_key_is_refused_and_cuts_its_connection),
        TEST(a_socket_in_this_process_needs_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
