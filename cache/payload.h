/* payload.h - is this exactly one MessagePack value?   SPDX-License-Identifier: MPL-2.0
 * Pure; any thread. Costs no memory, whatever the bytes claim. */
#pragma once

#include "proto/bytes.h"

bool fw_cache_payload_is_value(fw_bytes_t payload);
/* MessagePack nil: what a load found is that there is nothing. */
bool fw_cache_payload_is_nothing(fw_bytes_t payload);
