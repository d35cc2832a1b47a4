/* metrics.c   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/metrics.h"
