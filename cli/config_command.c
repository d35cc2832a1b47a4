/* config_command.c - freshwire config check, print and doc.   SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/options.h"

fw_exit_t fw_config_command(const fw_call_t *call)
{
    if (strcmp(call->word, "doc") == 0) {
        size_t count;
        const fw_option_t *options = fw_options(&count);
        (void)fputs(
            "# Options\n\nWritten by `freshwire config doc`. Flags win over the environment, the "
            "environment over "
            "the file, the file over the defaults. An empty variable is as good as none.\n\n",
            stdout);
        fw_config_document(options, count, stdout);
    } else if (strcmp(call->word, "print") == 0) {
        fw_config_print(call->config, stdout);
    } else {
        /* What was wrong would have ended in the loader. */
        (void)printf("ok: %s%s\n", call->file ? call->file : "no file",
                     call->file ? "" : ", only environment, flags and defaults");
    }
    return FW_EXIT_OK;
}
