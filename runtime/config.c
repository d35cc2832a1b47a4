/* config.c   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/config.h"
