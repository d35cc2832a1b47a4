/* version.c - freshwire version.   SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include <czmq.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <libwebsockets.h>

#include "cli/command.h"
#include "proto/codec.h"

/* A library's real version, not that of the headers: "4.3.4". */
static json_t *dotted(int major, int minor, int patch)
{
    return json_sprintf("%d.%d.%d", major, minor, patch);
}

/* "4.1.6-" or "4.1.6-v4.1.6" */
static json_t *websockets_version(void)
{
    const char *text = lws_get_library_version();
    return json_stringn(text, strcspn(text, "-"));
}

static fw_exit_t print_json(void)
{
    int major = 0;
    int minor = 0;
    int patch = 0;
    zmq_version(&major, &minor, &patch);
    json_t *libraries = json_object();
    (void)json_object_set_new(libraries, "zeromq", dotted(major, minor, patch));
    zsys_version(&major, &minor, &patch);
    (void)json_object_set_new(libraries, "czmq", dotted(major, minor, patch));
    (void)json_object_set_new(libraries, "libwebsockets", websockets_version());
    (void)json_object_set_new(libraries, "hiredis",
                              dotted(HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH));
    (void)json_object_set_new(libraries, "jansson", json_string(jansson_version_str()));
    json_t *version = json_pack("{s:s, s:s, s:i, s:o}", "name", "freshwire", "version", FW_VERSION,
                                "protocol", (int)FW_PROTOCOL_VERSION, "libraries", libraries);
    char *text = version ? json_dumps(version, JSON_COMPACT) : NULL;
    json_decref(version);
    if (!text)
        return FW_EXIT_FAILURE;
    (void)puts(text);
    free(text);
    return FW_EXIT_OK;
}

fw_exit_t fw_version_command(const fw_call_t *call)
{
    if (fw_arguments_flag(call->arguments, "json"))
        return print_json();
    (void)printf("freshwire %s (protocol %d)\n", FW_VERSION, (int)FW_PROTOCOL_VERSION);
    return FW_EXIT_OK;
}
