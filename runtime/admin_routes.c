/* admin_routes.c - see admin_routes.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/admin_routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/alloc.h"
#include "runtime/socket.h"

struct fw_admin_routes {
    const fw_admin_options_t *options;
    fw_admin_replied_fn *replied;
    void *context;
    zsock_t *sockets[FW_ADMIN_ROUTES_MAX];
};

int fw_admin_routes_new(const fw_admin_options_t *options, fw_admin_replied_fn *replied,
                        void *context, fw_admin_routes_t **ret_routes)
{
    fw_admin_routes_t *self = fw_alloc(1, sizeof *self);
    self->options = options;
    self->replied = replied;
    self->context = context;
    int result = 0;
    for (size_t i = 0; result == 0 && i < options->routes_count; i++) {
        fw_socket_settings_t settings = fw_socket_settings(FW_SOCKET_DEALER_CONNECT);
        result = fw_socket_open(&settings, options->routes[i].endpoint, &self->sockets[i]);
    }
    if (result != 0)
        fw_admin_routes_destroy(&self);
    else
        *ret_routes = self;
    return result;
}

void fw_admin_routes_destroy(fw_admin_routes_t **self_p)
{
    fw_admin_routes_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < FW_ADMIN_ROUTES_MAX; i++)
        zsock_destroy(&self->sockets[i]);
    free(self);
    *self_p = NULL;
}

size_t fw_admin_routes_count(const fw_admin_routes_t *self)
{
    return self->options->routes_count;
}

int fw_admin_routes_fd(const fw_admin_routes_t *self, size_t route)
{
    return zsock_fd(self->sockets[route]);
}

int fw_admin_routes_find(const fw_admin_routes_t *self, fw_text_t path)
{
    for (size_t i = 0; i < self->options->routes_count; i++) {
        size_t size = strlen(self->options->routes[i].prefix);
        bool begins =
            path.size >= size && memcmp(path.text, self->options->routes[i].prefix, size) == 0;
        if (begins && (path.size == size || path.text[size] == '/'))
            return (int)i;
    }
    return -1;
}

/* Takes as long for a wrong key as for the right one. */
static bool equal(fw_text_t given, const char *key)
{
    size_t size = strlen(key);
    unsigned difference = given.size != size;
    for (size_t i = 0; i < given.size; i++)
        difference |= (unsigned)(given.text[i] ^ key[size > 0 ? i % size : 0]);
    return difference == 0;
}

unsigned fw_admin_routes_refuses(const fw_admin_routes_t *self, fw_text_t authorization,
                                 const char **ret_detail)
{
    static const char scheme[] = "Bearer ";
    size_t size = sizeof scheme - 1;
    bool known = false;
    if (self->options->keys_count == 0) {
        *ret_detail = "admin.keys is empty: nobody may use this";
        return 403;
    }
    *ret_detail = "a key is needed: Authorization: Bearer KEY";
    if (authorization.size <= size || strncasecmp(authorization.text, scheme, size) != 0)
        return 401;
    fw_text_t given = {authorization.text + size, authorization.size - size};
    for (size_t i = 0; i < self->options->keys_count; i++)
        known |= *self->options->keys[i] && equal(given, self->options->keys[i]);
    *ret_detail = "the key is not one of admin.keys";
    return known ? 0 : 401;
}

int fw_admin_routes_ask(fw_admin_routes_t *self, size_t route, const fw_admin_request_t *request)
{
    size_t size;
    uint8_t *frame = fw_admin_request_pack(request, &size);
    int result = fw_socket_send(self->sockets[route], (fw_bytes_t){frame, size});
    free(frame);
    return result;
}

void fw_admin_routes_receive(fw_admin_routes_t *self)
{
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    for (size_t i = 0; i < self->options->routes_count; i++) {
        int result;
        while ((result = fw_socket_receive(self->sockets[i], &frame)) == 0 || result == -EBADMSG) {
            fw_admin_reply_t reply;
            if (result == 0 && fw_admin_reply_unpack(fw_socket_bytes(&frame), &reply) == 0)
                self->replied(self->context, &reply);
        }
    }
    (void)zmq_msg_close(&frame);
}
