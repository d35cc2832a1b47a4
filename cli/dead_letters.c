/* dead_letters.c - freshwire dead-letters: purges that could not be done.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "runtime/log.h"
#include "workers/dead_letters.h"

enum { PATIENCE_MS = 5000 };

/* What could not be printed is not removed from Redis. */
static bool print(void *context, fw_text_t letter)
{
    FILE *out = context;
    return fwrite(letter.text, 1, letter.size, out) == letter.size && fputc('\n', out) != EOF &&
           fflush(out) == 0;
}

fw_exit_t fw_dead_letters_command(const fw_call_t *call)
{
    const char *reason = "";
    fw_log_set_level(FW_LOG_ERROR); /* One that is not there is said once, at the end. */
    bool take = strcmp(call->word, "take") == 0;
    int result = fw_dead_letters_read(fw_config_text(call->config, "worker.redis_url"),
                                      fw_config_text(call->config, "worker.namespace"), PATIENCE_MS,
                                      take, print, stdout, &reason);
    if (result == 0)
        return FW_EXIT_OK;
    fw_complain(result == -ECANCELED ? "nothing that could not be written was removed"
                                     : "see worker.redis_url and worker.namespace",
                "%s", reason);
    return result == -EINVAL      ? FW_EXIT_CONFIG
           : result == -ETIMEDOUT ? FW_EXIT_UNREACHABLE
                                  : FW_EXIT_FAILURE;
}
