/* ws_client.h - a WebSocket and HTTP client for tests: raw, so that it can also do wrong.
 * SPDX-License-Identifier: MPL-2.0
 * Every call that waits has a deadline and calls a hook meanwhile, so that one thread can be client
 * and broker. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WS_WAIT_MS = 20000 }; /* how long a test waits before it has failed */

typedef struct ws_client ws_client_t;

/* Called a few times per ten milliseconds while somebody waits; NULL = none. */
typedef void ws_hook_fn(void *context);
void ws_set_hook(ws_hook_fn *hook, void *context);
/* Waits until a condition holds; false when it did not in time. */
bool ws_wait(bool (*condition)(void *context), void *context, int timeout_ms);
/* Lets time pass, with the hook. */
void ws_pause(int ms);

typedef struct {
    const char *path;
    const char *subprotocol; /* NULL = none is offered */
    const char *headers;     /* more of them, each with its line end; NULL = none */
    int receive_buffer;      /* SO_RCVBUF; 0 = the kernel's */
} ws_options_t;

/* A TCP connection. Ends the test program when there is none. */
ws_client_t *ws_dial(int port, int receive_buffer);
/* Dials and upgrades; the test fails unless the server says 101. */
ws_client_t *ws_open(int port, const ws_options_t *options);
/* Without a check of the answer: see ws_status. */
ws_client_t *ws_try(int port, const ws_options_t *options);
void ws_close(ws_client_t **self_p); /* just closes the TCP connection */
int ws_status(
    const ws_client_t *self); /* HTTP status of the last answer; 0 = the connection ended */
const char *ws_head(const ws_client_t *self); /* status line and headers of the last answer */
const char *ws_body(const ws_client_t *self); /* body of the last answer, when it is not 101 */
int ws_fd(const ws_client_t *self);

/* Sends bytes as they are; false when the connection is gone. */
bool ws_send_raw(ws_client_t *self, const void *data, size_t size);
bool ws_send_frame(ws_client_t *self, bool final, unsigned opcode, const void *data, size_t size);
bool ws_send_text(ws_client_t *self, const char *text);

/* The next text message (static until the next call on this client); NULL when none came in time or
 * the connection ended. Pings are answered, unless told not to. */
const char *ws_receive(ws_client_t *self, int timeout_ms);
void ws_ignore_pings(ws_client_t *self);
unsigned ws_pings(const ws_client_t *self); /* how many came */
/* Receives until the connection ends: its close code, 1006 without one, 0 when it did not end in
 * time. */
int ws_receive_close(ws_client_t *self, int timeout_ms);
const char *ws_close_reason(const ws_client_t *self);

/* Sends an HTTP request and receives the answer: its status, 0 when the connection ended. */
int ws_request(ws_client_t *self, const char *head, const char *body);
/* Receives the answer to a request that was sent with ws_send_raw. */
int ws_answer(ws_client_t *self, int timeout_ms);
