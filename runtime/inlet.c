/* inlet.c - see inlet.h.   SPDX-License-Identifier: MPL-2.0 */
#undef _FORTIFY_SOURCE /* its inline recv would stand in the way of ours */

#include "runtime/inlet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/alloc.h"

enum { SOCKETS_MIN = 256 };

static _Thread_local struct {
    fw_inlet_fn *look;
    void **contexts; /* by descriptor */
    size_t size;
} inlet;

void fw_inlet_open(fw_inlet_fn *look)
{
    inlet.look = look;
}

void fw_inlet_close(void)
{
    free(inlet.contexts);
    inlet.look = NULL;
    inlet.contexts = NULL;
    inlet.size = 0;
}

void fw_inlet_add(int fd, void *context)
{
    size_t place = (size_t)fd;
    if (place >= inlet.size) {
        size_t size = inlet.size > 0 ? inlet.size : SOCKETS_MIN;
        while (size <= place)
            size *= 2;
        inlet.contexts = fw_realloc(inlet.contexts, size, sizeof(void *));
        for (size_t i = inlet.size; i < size; i++)
            inlet.contexts[i] = NULL;
        inlet.size = size;
    }
    inlet.contexts[place] = context;
}

void fw_inlet_remove(int fd, const void *context)
{
    if (fd >= 0 && (size_t)fd < inlet.size && inlet.contexts[fd] == context)
        inlet.contexts[fd] = NULL;
}

bool fw_inlet_look(int fd, void *bytes, size_t size, size_t *ret_passed)
{
    if (fd < 0 || (size_t)fd >= inlet.size || !inlet.contexts[fd])
        return false;
    *ret_passed = inlet.look(inlet.contexts[fd], bytes, size);
    return true;
}

/* The libraries of this program find this one before the C library's. It asks the kernel itself:
 * through recvfrom, sanitizers would take what libraries read among their threads for ours. */
__attribute__((visibility("default"))) ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    ssize_t received = syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL);
    size_t passed = 0;
    if (received <= 0 || (flags & MSG_PEEK) ||
        !fw_inlet_look(fd, buffer, (size_t)received, &passed))
        return received;
    if (passed > 0)
        return (ssize_t)passed;
    errno = EAGAIN;
    return -1;
}
