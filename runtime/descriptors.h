/* descriptors.h - is the process running out of file descriptors?   SPDX-License-Identifier:
 * MPL-2.0
 */
#pragma once

#include <stdbool.h>

/* True when at most reserve more can be opened. One system call, no state. The lowest
 * free descriptor is given first, so its number tells how many are left. */
bool fw_descriptors_short(unsigned reserve);
