/* metrics_process.h - what the kernel knows about this process, as Prometheus text.
 * SPDX-License-Identifier: MPL-2.0 Internal to runtime/. */
#pragma once

#include <stdio.h>

/* Writes the process_* series; one that cannot be read is left out. */
void fw_metrics_write_process(FILE *out);
