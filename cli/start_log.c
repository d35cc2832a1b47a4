/* start_log.c - see start_log.h.   SPDX-License-Identifier: MPL-2.0 */
#include "cli/start_log.h"

#include <string.h>

#include "runtime/log.h"

void fw_start_log(const fw_config_t *config)
{
    static const char *const formats[] = {
        [FW_LOG_AUTO] = "auto", [FW_LOG_JSON] = "json", [FW_LOG_TEXT] = "text"};
    fw_log_level_t level = FW_LOG_INFO;
    /* The option's choices are the levels. */
    (void)!fw_log_level_parse(fw_config_text(config, "log.level"), &level);
    fw_log_format_t format = FW_LOG_AUTO;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(fw_config_text(config, "log.format"), formats[i]) == 0)
            format = (fw_log_format_t)i;
    fw_log_setup(level, format);
    fw_log_set_actor("main");
}
