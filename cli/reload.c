/* reload.c - freshwire reload: a running process reads its configuration again.
 * SPDX-License-Identifier: MPL-2.0
 * What 'kill -HUP' does, for images that have no kill. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/duration.h"
#include "runtime/log.h"

enum { PID_MAX = 4194304 };

/* Is it one of ours? A signal that another program does not expect would end it. */
static bool is_freshwire(int64_t pid)
{
    char path[64];
    char name[32] = "";
    (void)snprintf(path, sizeof path, "/proc/%lld/comm", (long long)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool read = fgets(name, sizeof name, file) != NULL;
    (void)fclose(file);
    /* The first thread is called as the program, or as the actor that it is. */
    return read && (strncmp(name, "freshwire", 9) == 0 || strncmp(name, "main\n", 5) == 0);
}

fw_exit_t fw_reload_command(const fw_call_t *call)
{
    const char *text = fw_arguments_text(call->arguments, "pid");
    fw_config_error_t error;
    int64_t pid = 1;
    if (text && fw_number_parse("pid", text, 1, PID_MAX, &pid, &error) != 0) {
        fw_complain("see 'freshwire help reload'", "%s", error.text);
        return FW_EXIT_USAGE;
    }
    if (!is_freshwire(pid)) {
        fw_complain("name the process: --pid PID", "process %lld is no freshwire", (long long)pid);
        return FW_EXIT_UNREACHABLE;
    }
    if (kill((pid_t)pid, SIGHUP) != 0) {
        int result = -errno;
        fw_complain("it takes the process's own user, or root", "process %lld: %s", (long long)pid,
                    fw_log_error_text(result));
        return FW_EXIT_FAILURE;
    }
    return FW_EXIT_OK;
}
