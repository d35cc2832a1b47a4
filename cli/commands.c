/* commands.c - the table of all commands: dispatch and help.   SPDX-License-Identifier: MPL-2.0 */
#include <string.h>

#include "cli/command.h"

#define ARGUMENTS(list) .arguments = (list), .arguments_count = sizeof(list) / sizeof *(list)

static const fw_argument_t role_arguments[] = {
    {"ports-file", FW_ARGUMENT_TEXT, "PATH",
     "write the real addresses there as JSON, once everything listens"},
};

static const fw_argument_t publish_arguments[] = {
    {"type", FW_ARGUMENT_TEXT, "TYPE",
     "event type, for example project_updated (required without --stdin)"},
    {"channel", FW_ARGUMENT_LIST, "CHANNEL", "broadcast, user:<id> or room:<id>: who receives it"},
    {"data", FW_ARGUMENT_TEXT, "JSON|@FILE",
     "the data; @FILE reads it from a file, @- from standard input"},
    {"key", FW_ARGUMENT_LIST, "KEY", "Redis key to purge first"},
    {"tag", FW_ARGUMENT_LIST, "TAG", "cache tag to purge first"},
    {"pattern", FW_ARGUMENT_LIST, "GLOB", "pattern of Redis keys to sweep"},
    {"id", FW_ARGUMENT_TEXT, "ID",
     "idempotency key; the same id within five minutes is the same event"},
    {"origin", FW_ARGUMENT_TEXT, "ORIGIN", "who caused it, for example a browser tab"},
    {"user-id", FW_ARGUMENT_TEXT, "ID", "which user caused it"},
    {"exclude-user", FW_ARGUMENT_TEXT, "ID", "sessions of this user do not get it"},
    {"exclude-origin", FW_ARGUMENT_TEXT, "ORIGIN", "sessions of this origin do not get it"},
    {"stdin", FW_ARGUMENT_FLAG, NULL, "read events from standard input, one JSON object a line"},
    {"level", FW_ARGUMENT_TEXT, "LEVEL", "acknowledge once accepted, or once purged (default)"},
    {"fire", FW_ARGUMENT_FLAG, NULL, "fire and forget: no acknowledgement"},
    {"endpoint", FW_ARGUMENT_TEXT, "URL",
     "tcp://host:port of the broker instead of broker.host and broker.ports"},
    {"timeout", FW_ARGUMENT_TEXT, "DURATION",
     "give an event up after so long without an acknowledgement (10s)"},
};

static const fw_argument_t tail_arguments[] = {
    {"channel", FW_ARGUMENT_LIST, "CHANNEL", "only these channels; without any: all"},
    {"json", FW_ARGUMENT_FLAG, NULL, "one JSON object a line, as browsers get it"},
    {"count", FW_ARGUMENT_TEXT, "N", "stop after so many events"},
    {"events-endpoint", FW_ARGUMENT_TEXT, "URL", "tcp://host:port of the broker's event link"},
    {"control-endpoint", FW_ARGUMENT_TEXT, "URL", "tcp://host:port of the broker's control link"},
};

static const fw_argument_t audit_arguments[] = {
    {"once", FW_ARGUMENT_TEXT, "N", "stop when N purges have passed the last timescale"},
    {"for", FW_ARGUMENT_TEXT, "DURATION", "stop after so long"},
    {"json", FW_ARGUMENT_FLAG, NULL, "one JSON object a line"},
};

static const fw_argument_t token_arguments[] = {
    {"sub", FW_ARGUMENT_TEXT, "USER", "the user's id (required)"},
    {"ttl", FW_ARGUMENT_TEXT, "DURATION", "valid for so long (10m)"},
    {"room", FW_ARGUMENT_LIST, "GLOB", "rooms to listen to; without any: every room"},
    {"publish", FW_ARGUMENT_LIST, "GLOB", "rooms to publish into; without any: none"},
    {"presence", FW_ARGUMENT_LIST, "GLOB", "rooms to be seen in; without any: none"},
    {"audience", FW_ARGUMENT_TEXT, "TEXT", "claim aud (default: first of gateway.jwt.audiences)"},
    {"issuer", FW_ARGUMENT_TEXT, "TEXT", "claim iss (default: first of gateway.jwt.issuers)"},
    {"key", FW_ARGUMENT_TEXT, "PATH",
     "sign with this private key, PEM: RS256, ES256 or EdDSA (default: gateway.jwt.secret)"},
    {"key-id", FW_ARGUMENT_TEXT, "ID", "name the key by this id (kid)"},
};

static const fw_argument_t keys_arguments[] = {
    {"role", FW_ARGUMENT_TEXT, "ROLE",
     "whose keys: broker, publisher, worker, gateway or auditor (required without --public and "
     "--token)"},
    {"name", FW_ARGUMENT_TEXT, "NAME",
     "what the broker calls the peer (default: its role); of --token: the key's id (1)"},
    {"token", FW_ARGUMENT_TEXT, "ALGORITHM",
     "a key that signs browser tokens instead: RS256, ES256 or EdDSA; shows its key set"},
    {"output", FW_ARGUMENT_TEXT, "PATH",
     "write the secret key there, readable by its owner only, instead of showing it"},
    {"public", FW_ARGUMENT_FLAG, NULL, "show the public key of the secret one on standard input"},
};

static const fw_argument_t reload_arguments[] = {
    {"pid", FW_ARGUMENT_TEXT, "PID", "the process (default: 1, as in a container)"},
};

static const fw_argument_t sessions_arguments[] = {
    {"user", FW_ARGUMENT_TEXT, "ID", "whose sessions (required, but for list)"},
    {"session", FW_ARGUMENT_TEXT, "ID", "disconnect: only this one"},
    {"code", FW_ARGUMENT_TEXT, "CODE",
     "disconnect: 4403 final (default), 4100 a new token first, 4000 come back"},
    {"reason", FW_ARGUMENT_TEXT, "TEXT", "disconnect: what the browser is told"},
    {"channel", FW_ARGUMENT_TEXT, "CHANNEL", "unsubscribe: from which channel"},
    {"room", FW_ARGUMENT_LIST, "GLOB", "refresh: rooms to listen to; '' is none"},
    {"publish", FW_ARGUMENT_LIST, "GLOB", "refresh: rooms to publish into; '' is none"},
    {"presence", FW_ARGUMENT_LIST, "GLOB", "refresh: rooms to be seen in; '' is none"},
    {"limit", FW_ARGUMENT_TEXT, "N", "list: at most so many (100)"},
    {"after", FW_ARGUMENT_TEXT, "ID", "list: go on behind this session"},
    {"admin", FW_ARGUMENT_TEXT, "HOST:PORT", "the admin port of a gateway (default: admin.listen)"},
};

static const fw_argument_t healthcheck_arguments[] = {
    {"ready", FW_ARGUMENT_FLAG, NULL,
     "ask whether it can be given work (/readyz), not only whether it lives"},
    {"admin", FW_ARGUMENT_TEXT, "HOST:PORT", "the admin port (default: admin.listen)"},
};

static const fw_argument_t version_arguments[] = {
    {"json", FW_ARGUMENT_FLAG, NULL, "as a JSON object, with the libraries' versions"},
};

static const char role_details[] = "Stops in order on SIGTERM or Ctrl-C: sessions are moved away "
                                   "over gateway.drain_window, purges in flight are\n"
                                   "finished. A second signal ends the drain. SIGHUP reads the "
                                   "configuration again: log.level changes at once, other\n"
                                   "changes are reported as needing a restart.";

static const fw_command_t commands[] = {
    {.name = "all",
     .summary = "run broker, worker and gateway in one process; needs no configuration",
     ARGUMENTS(role_arguments),
     .details = role_details,
     .examples = "  freshwire all\n"
                 "  freshwire all --gateway-listen 127.0.0.1:0 --ports-file ports.json",
     .run = fw_all_command},
    {.name = "broker",
     .summary = "run the broker: orders events, holds them until purged",
     ARGUMENTS(role_arguments),
     .details = role_details,
     .examples = "  freshwire broker --broker-bind 0.0.0.0",
     .run = fw_broker_command},
    {.name = "worker",
     .summary = "run a worker: purges Redis",
     ARGUMENTS(role_arguments),
     .details = role_details,
     .examples = "  freshwire worker --broker-host broker.internal --worker-redis-url "
                 "redis://cache.internal:6379\n"
                 "  freshwire worker --worker-redis-url "
                 "sentinel://s1.internal,s2.internal,s3.internal/main\n"
                 "  freshwire worker --worker-redis-url cluster://c1.internal,c2.internal",
     .run = fw_worker_command},
    {.name = "gateway",
     .summary = "run a gateway: browsers connect here",
     ARGUMENTS(role_arguments),
     .details = role_details,
     .examples = "  freshwire gateway --broker-host broker.internal --gateway-listen 0.0.0.0:8080",
     .run = fw_gateway_command},
    {.name = "publish",
     .summary = "publish an event, or many from standard input",
     ARGUMENTS(publish_arguments),
     .details = "Prints one JSON object per event: its id, status, positions and freshness token. "
                "Exit code 5 when the\n"
                "broker does not answer, 1 when an event was refused.",
     .examples = "  freshwire publish --type project_updated --channel room:42 --data "
                 "'{\"id\":\"42\"}' --tag project:42\n"
                 "  generate-events | freshwire publish --stdin",
     .run = fw_publish_command},
    {.name = "tail",
     .summary = "show events as they are released",
     ARGUMENTS(tail_arguments),
     .details = "Reads the broker's event link, so no token is needed. Events before its start are "
                "not shown.",
     .examples = "  freshwire tail --channel room:42\n"
                 "  freshwire tail --json | jq .type",
     .run = fw_tail_command},
    {.name = "audit",
     .summary = "look again at what was purged: is anybody served it?",
     ARGUMENTS(audit_arguments),
     .details = "Follows a sample of the purges that the broker tells of, and reads Redis as a "
                "reader would, at each of\n"
                "audit.timescales. What should have been ended is logged, and purged again unless "
                "audit.heal is off.\n"
                "Exit code 1 when something was found. The admin port is opened only when "
                "admin.listen is set.",
     .examples = "  freshwire audit\n"
                 "  freshwire audit --once 1000 --json | jq .stale\n"
                 "  freshwire audit --audit-timescales '0s 1s' --for 1m",
     .run = fw_audit_command},
    {.name = "token",
     .summary = "sign a browser token",
     ARGUMENTS(token_arguments),
     .details = "For development and scripts; in production your own login signs tokens with the "
                "same secret, or\n"
                "with a private key of which the gateway has the public one (gateway.jwt.keys or "
                "gateway.jwt.jwks_url).",
     .examples = "  freshwire token --sub u1 --ttl 1h --room 'team-*'\n"
                 "  freshwire token --sub u1 --key signing.pem --key-id 1 --publish lobby "
                 "--presence '*'",
     .run = fw_token_command},
    {.name = "keys",
     .summary = "make keys for the links between the processes, or for signing tokens",
     ARGUMENTS(keys_arguments),
     .details = "Prints what to configure on either side: the owner's secret key, and the public "
                "one for the others.\n"
                "docs/security.md tells who needs which, and how keys are replaced.",
     .examples = "  freshwire keys --role broker --output broker.key\n"
                 "  freshwire keys --role publisher --name orders --output orders.key\n"
                 "  freshwire keys --public < broker.key\n"
                 "  freshwire keys --token ES256 --output signing.pem > keys.json",
     .unconfigured = true,
     .run = fw_keys_command},
    {.name = "dead-letters",
     .summary = "show, or take out, purges that Redis refused for good",
     .word = "WHAT",
     .words = "list|take",
     .details =
         "Prints one event per line, the oldest first, which purges the same and is shown to "
         "nobody: what\n"
         "'freshwire publish --stdin' takes. take also removes them, after each was printed.",
     .examples = "  freshwire dead-letters list | jq .data.reason\n"
                 "  freshwire dead-letters take | freshwire publish --stdin",
     .run = fw_dead_letters_command},
    {.name = "sessions",
     .summary = "list live sessions, or end or change those of a user",
     .word = "WHAT",
     .words = "list|disconnect|unsubscribe|refresh",
     ARGUMENTS(sessions_arguments),
     .details =
         "  list         sessions of the gateway that is asked\n"
         "  disconnect   closes a user's sessions at every gateway\n"
         "  unsubscribe  takes them out of a channel; their tokens may still allow it\n"
         "  refresh      other rooms take the place of those of their tokens\n"
         "Needs one of the gateway's admin.keys. Exit code 5 when not every gateway answered.",
     .examples = "  freshwire sessions list --user u1\n"
                 "  freshwire sessions disconnect --user u1 --code 4100 --reason 'sign in again'\n"
                 "  freshwire sessions refresh --user u1 --room 'team-1-*'",
     .run = fw_sessions_command},
    {.name = "reload",
     .summary = "let a running process read its configuration again",
     ARGUMENTS(reload_arguments),
     .details = "Sends it SIGHUP, also where there is no other program to do so. Its log says what "
                "was taken over.",
     .examples = "  kubectl exec deploy/freshwire-gateway -- freshwire reload\n"
                 "  freshwire reload --pid \"$(pidof freshwire)\"",
     .unconfigured = true,
     .run = fw_reload_command},
    {.name = "config",
     .summary = "check, print or document the configuration",
     .word = "WHAT",
     .words = "check|print|doc",
     .details =
         "  check   reads everything and says whether it is valid (exit code 3 if not)\n"
         "  print   every option's value and where it comes from, as YAML; secrets are masked\n"
         "  doc     every option with its default, limits, variable and flag, as Markdown",
     .run = fw_config_command},
    {.name = "healthcheck",
     .summary = "ask a running process whether it is well (exit code 0 or 1)",
     ARGUMENTS(healthcheck_arguments),
     .run = fw_healthcheck_command},
    {.name = "version",
     .summary = "show the version",
     ARGUMENTS(version_arguments),
     .unconfigured = true,
     .run = fw_version_command},
    {.name = "help",
     .summary = "show this text, or a command's",
     .word = "COMMAND",
     .unconfigured = true,
     .run = fw_help_command},
};

const fw_command_t *fw_commands(size_t *ret_count)
{
    *ret_count = sizeof commands / sizeof *commands;
    return commands;
}

const fw_command_t *fw_command_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}
