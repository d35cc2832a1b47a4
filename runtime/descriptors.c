/* descriptors.c - see descriptors.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/descriptors.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

bool fw_descriptors_short(unsigned reserve)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
        return false;
    if (limit.rlim_cur <= reserve)
        return true;
    int lowest = epoll_create1(EPOLL_CLOEXEC);
    if (lowest < 0)
        return true;
    (void)close(lowest);
    return lowest >= (int)(limit.rlim_cur - reserve);
}
