/* fuzz_config.c - the YAML reader takes any bytes without harm.   SPDX-License-Identifier: MPL-2.0
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/config_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every kind. No secret that is read from a file: the fuzzer must not open what it makes up. */
static const fw_option_t table[] = {
    {.path = "log.level",
     .kind = FW_OPTION_CHOICE,
     .fallback = "info",
     .choices = "info|warn",
     .help = "Level."},
    {.path = "a.number", .kind = FW_OPTION_NUMBER, .min = -10, .max = 100, .help = "Number."},
    {.path = "a.any", .kind = FW_OPTION_NUMBER, .help = "Any number."},
    {.path = "a.b.wait",
     .kind = FW_OPTION_DURATION,
     .fallback = "1s",
     .min = 1,
     .max = 5000,
     .help = "Wait."},
    {.path = "a.b.bytes", .kind = FW_OPTION_BYTES, .help = "Bytes."},
    {.path = "a.on", .kind = FW_OPTION_BOOL, .help = "On."},
    {.path = "a.list", .kind = FW_OPTION_LIST, .help = "List."},
    {.path = "text", .kind = FW_OPTION_TEXT, .help = "Text."},
};
enum { COUNT = sizeof table / sizeof *table };

static void require(int truth)
{
    if (!truth)
        abort();
}

/* What was read can be printed, and what was printed is read as the same. */
static void check_round_trip(const fw_config_t *config)
{
    char *first = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&first, &size);
    require(out != NULL);
    fw_config_print(config, out);
    (void)fclose(out);
    fw_config_t *again = fw_config_make(table, COUNT);
    fw_config_error_t error = {.text = ""};
    require(fw_config_read_yaml(again, "f", first, size, &error) == 0);
    require(strcmp(fw_config_text(config, "text"), fw_config_text(again, "text")) == 0);
    require(fw_config_number(config, "a.any") == fw_config_number(again, "a.any"));
    require(fw_config_number(config, "a.b.bytes") == fw_config_number(again, "a.b.bytes"));
    const char *const *a = NULL;
    const char *const *b = NULL;
    size_t count = fw_config_list(config, "a.list", &a);
    require(count == fw_config_list(again, "a.list", &b));
    for (size_t i = 0; i < count; i++)
        require(strcmp(a[i], b[i]) == 0);
    fw_config_destroy(&again);
    free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fw_config_t *config = fw_config_make(table, COUNT);
    fw_config_error_t error = {.text = ""};
    int result = fw_config_read_yaml(config, "f", (const char *)data, size, &error);
    require((result == 0) == (error.text[0] == 0));
    require(memchr(error.text, 0, sizeof error.text) != NULL);
    int64_t number = fw_config_number(config, "a.number");
    require(number >= -10 && number <= 100);
    if (result == 0)
        check_round_trip(config);
    fw_config_destroy(&config);
    return 0;
}
