/* duration.c - a duration or number given to a command's own flag.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "cli/duration.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int parse(fw_option_kind_t kind, const char *flag, const char *text, int64_t min,
                 int64_t max, int64_t *ret_number, fw_config_error_t *ret_error)
{
    /* A table of one option: its limits, its messages and its parser are the configuration's. */
    char fallback[32];
    (void)snprintf(fallback, sizeof fallback, "%lld%s", (long long)min,
                   kind == FW_OPTION_DURATION ? "ms" : "");
    fw_option_t option = {
        .path = flag, .kind = kind, .fallback = fallback, .min = min, .max = max, .help = ""};
    char argument[128];
    if (snprintf(argument, sizeof argument, "--%s=%s", flag, text) >= (int)sizeof argument) {
        (void)snprintf(ret_error->text, sizeof ret_error->text, "--%s is too long", flag);
        return -EINVAL;
    }
    char program[] = "freshwire";
    char *argv[] = {program, argument, NULL};
    int argc = 2;
    fw_config_t *config = NULL;
    int result = fw_config_load(&option, 1, NULL, NULL, &argc, argv, &config, ret_error);
    if (result != 0)
        return result;
    *ret_number = fw_config_number(config, flag);
    fw_config_destroy(&config);
    return 0;
}

int fw_duration_parse(const char *flag, const char *text, int64_t min_ms, int64_t max_ms,
                      int64_t *ret_ms, fw_config_error_t *ret_error)
{
    return parse(FW_OPTION_DURATION, flag, text, min_ms, max_ms, ret_ms, ret_error);
}

int fw_number_parse(const char *flag, const char *text, int64_t min, int64_t max,
                    int64_t *ret_number, fw_config_error_t *ret_error)
{
    return parse(FW_OPTION_NUMBER, flag, text, min, max, ret_number, ret_error);
}
