/* options_table.c - every option: name, kind, default, range, meaning.   SPDX-License-Identifier:
 * MPL-2.0 Defaults of a role's own options equal those of its fw_…_defaults (a test compares them).
 */
#include "cli/options.h"

#include "gateway/limits.h"
#include "proto/presence_messages.h"

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

#define TEXT(p, d, h)                                                                              \
    {                                                                                              \
        .path = (p), .kind = FW_OPTION_TEXT, .fallback = (d), .help = (h)                          \
    }
#define SECRET(p, d, h)                                                                            \
    {                                                                                              \
        .path = (p), .kind = FW_OPTION_SECRET, .fallback = (d), .help = (h)                        \
    }
#define LIST(p, h)                                                                                 \
    {                                                                                              \
        .path = (p), .kind = FW_OPTION_LIST, .help = (h)                                           \
    }
#define SECRETS(p, h)                                                                              \
    {                                                                                              \
        .path = (p), .kind = FW_OPTION_SECRETS, .help = (h)                                        \
    }
#define BOOL(p, d, h)                                                                              \
    {                                                                                              \
        .path = (p), .kind = FW_OPTION_BOOL, .fallback = (d), .help = (h)                          \
    }
#define CHOICE(p, d, c, h)                                                                         \
    {                                                                                              \
        .path = (p), .kind = FW_OPTION_CHOICE, .fallback = (d), .choices = (c), .help = (h)        \
    }
#define RANGED(k, p, d, low, high, h)                                                              \
    {                                                                                              \
        .path = (p), .kind = (k), .fallback = (d), .min = (low), .max = (high), .help = (h)        \
    }
#define NUMBER(p, d, low, high, h) RANGED(FW_OPTION_NUMBER, p, d, low, high, h)
#define DURATION(p, d, low, high, h) RANGED(FW_OPTION_DURATION, p, d, low, high, h)
#define BYTES(p, d, low, high, h) RANGED(FW_OPTION_BYTES, p, d, low, high, h)

static const fw_option_t table[] = {
    CHOICE("log.level", "info", "error|warn|info|debug",
           "Least important lines that are written. Reloaded by SIGHUP."),
    CHOICE("log.format", "auto", "auto|json|text",
           "JSON lines, or text; auto is text when stderr is a terminal."),

    TEXT("admin.listen", "127.0.0.1:9090",
         "Address of /healthz, /readyz and /metrics; port 0 takes a free one, empty is none. Never "
         "a public one."),

    SECRETS("admin.keys",
            "Bearer keys for /v1/sessions on the admin port of a gateway; none: nobody "
            "may use it."),

    TEXT("broker.bind", "127.0.0.1",
         "Address that the broker's five ports are bound to; * is every address."),
    TEXT("broker.host", "127.0.0.1",
         "Host name of the broker, for workers, gateways, publish and tail."),
    NUMBER("broker.ports.fire", "7001", 0, 65535,
           "Fire-and-forget events from services. For the broker itself, port 0 takes a free one."),
    NUMBER("broker.ports.publish", "7002", 0, 65535,
           "Acknowledged events from services and gateways."),
    NUMBER("broker.ports.jobs", "7003", 0, 65535, "Purge jobs to workers."),
    NUMBER("broker.ports.events", "7004", 0, 65535, "Released events to gateways."),
    NUMBER("broker.ports.control", "7005", 0, 65535, "Positions and replay for gateways."),
    NUMBER("broker.credit", "1024", 1, 65536, "Events that one publisher may have unacknowledged."),
    DURATION("broker.barrier_first", "200ms", 1, MINUTE,
             "Without an answer for so long, a purge also goes to another worker."),
    DURATION("broker.barrier_timeout", "500ms", 1, MINUTE,
             "Without a confirmed purge for so long, an event is released flagged as unconfirmed."),
    NUMBER("broker.held_max", "100000", 1, 10000000,
           "Events that wait for their purge; beyond, publishers are told to retry."),
    DURATION("broker.hold_timeout", "10s", 1, 10 * MINUTE,
             "The same as barrier_timeout, in channels whose rule says barrier=hold."),
    NUMBER("broker.jobs_max", "100000", 1, 10000000,
           "Purges of events that were released unconfirmed; beyond, they are given up and the "
           "whole cache is flushed instead."),
    BYTES("broker.held_bytes_max", "256MiB", MIB, 1024 * GIB,
          "Bytes of events that wait for their purge; beyond, publishers are told to retry."),
    BYTES("broker.jobs_bytes_max", "256MiB", MIB, 1024 * GIB,
          "Bytes of the purges that broker.jobs_max counts; beyond, the same happens."),
    BYTES("broker.dedupe_bytes_max", "256MiB", MIB, 1024 * GIB,
          "Bytes of remembered event ids and positions; beyond, the oldest is forgotten."),
    BOOL("broker.cache", "true",
         "There is a cache, and workers that purge it. Without workers, false: nothing waits for a "
         "cache to be opened, and nobody is told to bypass one."),
    DURATION(
        "broker.open_timeout", "5s", 0, MINUTE,
        "After a start gateways get no answers for so long, unless a worker has made sure that "
        "the cache holds nothing that the broker before left unpurged."),
    LIST("broker.channels",
         "Rules for channels, the first that matches counts: <pattern> [history_events=N] "
         "[history_bytes=SIZE] [history_age=DURATION] [barrier=release|hold], for example room:* "
         "history_events=256 barrier=hold."),
    BYTES("broker.replay_rate", "64MiB", MIB, 64 * GIB,
          "Bytes of history sent to gateways per second; beyond, replays wait."),
    DURATION("broker.presence_grace", "15s", 0, HOUR,
             "Who lost the connection to a room and is back within it never left."),
    NUMBER("broker.presence_members_max", "5000", 1, 10000,
           "Users of one room that are told by name; beyond, only their number is."),
    BYTES("broker.presence_bytes_max", "64MiB", MIB, 1024 * GIB,
          "Memory of who is in which room; beyond, newcomers are not recorded, and their rooms are "
          "told by number."),
    DURATION("broker.fire_repair", "5s", 100, MINUTE,
             "A fire-and-forget event that was lost is asked for again for so long."),
    CHOICE("broker.fire_loss", "reset", "reset|count",
           "What to do when one cannot be had: reset the channels that its publisher may use and "
           "flush the cache, or only count it."),
    DURATION("broker.beacon_interval", "500ms", 50, 5 * SECOND,
             "Between beacons, by which gateways notice a lost link."),
    BYTES(
        "broker.queue_bytes_max", "64MiB", MIB, 64 * GIB,
        "Bytes, about, that may wait for one gateway that does not read; beyond, it misses events "
        "and has them replayed."),
    NUMBER("broker.subscriptions_max", "250000", 1000, 100000000,
           "Topics that one connection of the event link may subscribe to in a minute; beyond, it "
           "is cut."),
    DURATION("broker.dedupe_window", "5m", SECOND, 24 * HOUR,
             "The same event id within this time is the same event."),
    NUMBER("broker.dedupe_max", "500000", 1, 100000000,
           "Event ids remembered; beyond, the oldest is forgotten."),
    NUMBER("broker.history_events_max", "1024", 1, 1000000,
           "Events kept for replay per channel; beyond, the oldest is dropped."),
    BYTES("broker.history_channel_bytes_max", "4MiB", 128 * KIB, GIB,
          "Bytes kept for replay per channel."),
    DURATION("broker.history_age", "10m", SECOND, 24 * HOUR,
             "Age of the oldest event kept for replay."),
    NUMBER("broker.channels_max", "1000000", 1, 100000000,
           "Channels known at once; beyond, the longest unused is forgotten."),
    BYTES("broker.history_bytes_max", "512MiB", MIB, 1024 * GIB, "Bytes kept for replay in all."),

    SECRET("security.secret_key", "",
           "This process's own key on the broker's links, 40 characters from 'freshwire keys'; "
           "empty: links without keys."),
    /* Public, but lists that may come from files are of this kind. */
    SECRETS("security.server_keys", "Public keys of the broker, for whoever connects to it; "
                                    "several while it gets a new one."),
    SECRETS("security.peers",
            "Who may connect to the broker: name=<name> role=publisher|worker|gateway key=<public "
            "key>, for publishers also channels=, types=, tags= and keys=<pattern>|<pattern>. "
            "Reloaded by SIGHUP."),
    BOOL("security.allow_plaintext", "false",
         "The broker may listen without keys on addresses that other machines reach."),

    SECRET("worker.redis_url", "redis://127.0.0.1:6379",
           "Redis to purge: redis://[user:password@]host:port[/db], unix:///path, "
           "sentinel://host,host/name or cluster://host,host; several, separated by spaces."),
    TEXT("worker.namespace", "fw",
         "Prefix of the cache's keys: <namespace>:c:<key> and <namespace>:t:<tag>."),
    NUMBER("worker.actors", "2", 1, FW_WORKERS_ACTORS_MAX,
           "Purge threads of this process, each with its own connections."),
    NUMBER("worker.capacity", "1024", 1, 4096, "Jobs that one thread may have outstanding."),
    DURATION("worker.stamp_ttl", "24h", MINUTE, INT64_C(30) * 24 * HOUR,
             "Life of a tag's stamp; at least twice the longest cache TTL."),
    DURATION("worker.redis_timeout", "1s", 10, MINUTE,
             "For connecting to Redis, and for one command."),
    NUMBER("worker.sweep_duty_percent", "10", 1, 100,
           "Share of time that a pattern sweep may keep Redis busy."),
    NUMBER("worker.sweep_count", "400", 1, 100000, "Keys looked at by one SCAN of a sweep."),
    NUMBER("worker.sweep_prefix_min", "3", 0, 1024,
           "Literal characters that a pattern must begin with; 0 allows any."),
    DURATION("worker.delay", "0", 0, MINUTE, "Test aid: every purge is answered so much later."),

    BOOL("audit.enabled", "false",
         "Run the auditor beside the workers: it looks again at what was purged, and purges again "
         "what a reader would still be served. 'freshwire audit' runs it alone."),
    TEXT("audit.timescales", "0s 1s 10s 60s 5m",
         "How long after a purge it is looked at again: up to 8 durations, ascending."),
    NUMBER("audit.rate", "10", 1, 1000, "Purges a second that are sampled."),
    NUMBER("audit.samples_max", "8192", 1, 1000000, "Purges that are followed at once."),
    BYTES("audit.bytes_max", "16MiB", 64 * KIB, GIB, "Memory of what is followed."),
    DURATION("audit.slack", "50ms", 0, MINUTE,
             "What the clocks of two Redis servers may differ before an entry counts as older than "
             "a purge."),
    BOOL("audit.heal", "true", "Purge again what is found stale."),
    NUMBER("audit.walk_rate", "500", 0, 100000,
           "Keys of Redis a second that are looked at to find entries of purged tags; 0: none."),
    LIST("audit.url", "Where the service shows what looks stale: \"<pattern of keys or tags> "
                      "url=https://…{name}…\". It is read with and without the cache, and only a "
                      "difference counts."),
    DURATION("audit.url_after", "60s", 0, 24 * HOUR,
             "Only what is found stale at this timescale or later is read over HTTP."),

    TEXT("gateway.listen", "127.0.0.1:8080",
         "Public address of WebSockets and POST /v1/events; port 0 takes a free one, 0.0.0.0:8080 "
         "is every address."),
    TEXT("gateway.prefix", "", "Put before every public path, for example /api for /api/ws."),
    TEXT("gateway.tls.certificate", "",
         "PEM file with the certificate of the public listener and those that lead to its issuer; "
         "empty: no TLS. Read again when it changes, and by SIGHUP."),
    TEXT("gateway.tls.key", "", "PEM file with the certificate's key, not encrypted."),
    CHOICE("gateway.proxy_protocol", "off", "off|v1|v2",
           "Every connection begins with a PROXY header of this version, which tells the client's "
           "address; one without it is refused."),
    LIST("gateway.trusted_proxies",
         "Address ranges of proxies whose X-Forwarded-For is believed, for example 10.0.0.0/8; "
         "none: nobody's."),
    NUMBER("gateway.accepts_per_second", "2000", 0, FW_ACCEPTS_PER_SECOND_MAX,
           "Connections accepted per second and shard; beyond, they wait. 0: no limit."),
    NUMBER("gateway.half_open_max", "768", 1, FW_CONNECTIONS_SPARE,
           "Connections per shard that have not brought a request; beyond, the oldest is cut."),
    NUMBER("gateway.sessions_per_user_max", "1000", 0, 1000000,
           "Sessions of one user per shard; beyond, close 4290. 0: no limit."),
    NUMBER("gateway.sessions_per_address_max", "1000", 0, 1000000,
           "Sessions of one public IPv4 address or IPv6 /64 per shard; beyond, close 4290. 0: no "
           "limit."),
    DURATION("gateway.request_timeout", "10s", 100, 10 * MINUTE,
             "For the head of a request, TLS included; then the connection is cut."),
    DURATION("gateway.body_timeout", "30s", 100, 10 * MINUTE,
             "For the body of a request; then the connection is cut."),
    NUMBER("gateway.shards", "1", 1, 32,
           "Threads, each with its own sessions; about one per CPU core."),
    SECRET("gateway.jwt.secret", "",
           "HS256 secret of the browsers' tokens, at least 32 bytes; without it and any other key "
           "nobody can authenticate."),
    SECRET("gateway.jwt.previous_secret", "",
           "The secret before, while tokens of it are still about."),
    LIST("gateway.jwt.keys",
         "Public keys of tokens (RS256, ES256, EdDSA), several while one takes the place of "
         "another: each the path of a PEM file or of a JWKS file, or PEM text."),
    TEXT("gateway.jwt.jwks_url", "",
         "Address of a JSON Web Key Set, https://…, that is fetched and fetched again."),
    TEXT("gateway.jwt.jwks_ca", "",
         "PEM file of who may vouch for its server; empty: whom the system trusts."),
    DURATION("gateway.jwt.jwks_refresh", "10m", SECOND, 24 * HOUR,
             "The set is fetched at least so often; sooner when its server says so."),
    DURATION("gateway.jwt.jwks_cooldown", "10s", 10, HOUR,
             "The set is fetched at most so often, also when tokens name keys that are not in it."),
    DURATION("gateway.jwt.jwks_keep", "24h", 0, 30 * 24 * HOUR,
             "When the set cannot be fetched, its last keys are good for so long."),
    DURATION("gateway.jwt.jwks_timeout", "3s", 50, 10 * SECOND, "For fetching the set once."),
    LIST("gateway.jwt.audiences", "A token must be for one of these (claim aud); none: any."),
    LIST("gateway.jwt.issuers", "A token must be from one of these (claim iss); none: any."),
    DURATION("gateway.jwt.leeway", "5s", 0, 5 * MINUTE,
             "How far the clocks of who signs tokens and of this machine may differ."),
    DURATION("gateway.jwt.grace", "10s", 0, 10 * MINUTE,
             "For a client to bring another token after its own has expired; then close 4100."),
    TEXT("gateway.jwt.cookie", "",
         "Name of a cookie that may hold the token; needs gateway.origins. Empty: cookies are not "
         "looked at."),
    SECRETS("gateway.publish_keys", "Bearer keys of POST /v1/events; none: it is refused."),
    LIST("gateway.origins",
         "Allowed Origin headers, for example https://app.example.com; none: any."),
    BOOL("gateway.anonymous", "true",
         "Sessions without a token may use /ws and get broadcast events."),
    NUMBER("gateway.sessions_max", "16384", 1, 1000000,
           "Sessions per shard; beyond, upgrades are refused with 503."),
    NUMBER("gateway.channels_per_session_max", "100", 1, 10000,
           "Subscriptions of one session; beyond, they are refused."),
    BYTES("gateway.message_bytes_max", "64KiB", KIB, MIB,
          "One message from a browser; beyond, close 1009."),
    NUMBER("gateway.ring_events_max", "4096", 8, 1000000,
           "Events kept per channel for slow sessions; beyond, those are reset."),
    BYTES("gateway.ring_bytes_max", "4MiB", 128 * KIB, GIB,
          "Bytes kept per channel for slow sessions."),
    BYTES("gateway.rings_bytes_max", "256MiB", MIB, 1024 * GIB,
          "Bytes kept for slow sessions per shard."),
    BYTES("gateway.control_bytes_max", "64MiB", MIB, 64 * GIB,
          "The gateway's own messages that wait for slow sessions of a shard; beyond, new sessions "
          "are refused with 503."),
    LIST("gateway.channels",
         "Rules for channels, the first that matches counts: <pattern> [max_delay_ms=N], for "
         "example room:* max_delay_ms=5: their events may wait so long (at most 1,000), so that "
         "several share one write."),
    NUMBER("gateway.client_publish.rate", "10", 0, 1000,
           "Events per second that one session may publish into rooms that its token's claim "
           "publish allows, twice as many at once; beyond, fw.error 4290. 0: none."),
    BYTES("gateway.client_publish.bytes_max", "4KiB", 1, FW_CLIENT_DATA_SIZE_MAX,
          "Data of one of these events."),
    BOOL("gateway.client_publish.keep", "false",
         "They may ask to be kept: then they are ordinary events, with history."),
    LIST("gateway.client_publish.types",
         "Patterns of the types that they may have, for example typing,cursor_*; none: any."),
    DURATION("gateway.linger", "1m", 0, HOUR,
             "A channel that nobody shows any more is kept for so long."),
    DURATION("gateway.hello_timeout", "5s", 100, MINUTE, "For the client's fw.hello."),
    DURATION("gateway.ping_interval", "25s", SECOND, 10 * MINUTE, "Between pings of a session."),
    DURATION("gateway.pong_timeout", "10s", 100, 10 * MINUTE, "Then a silent session is closed."),
    DURATION("gateway.drain_delay", "5s", 0, 10 * MINUTE,
             "After SIGTERM: unready, but still serving, for load balancers to notice. 0 in "
             "'freshwire all' unless set."),
    DURATION("gateway.drain_window", "1m", 0, HOUR,
             "Sessions are closed over this time, so that they do not all come back at once. 0 in "
             "'freshwire all' unless set."),
    TEXT("gateway.authorise.url", "",
         "The backend that decides about rooms beside the token: it is posted user_id, channel and "
         "action, and answers allow and ttl_seconds. Empty: the token alone decides."),
    SECRET("gateway.authorise.key", "",
           "Sent to it as Authorization: Bearer KEY; empty: nothing is."),
    TEXT("gateway.authorise.ca", "",
         "PEM file of the issuers of its certificate; empty: the system's."),
    DURATION("gateway.authorise.timeout", "2s", 50, 30 * SECOND,
             "It must have answered by then; else the room is refused for now."),
    NUMBER("gateway.authorise.concurrency", "8", 1, 64,
           "Questions that it gets at once from one shard; others wait."),
    NUMBER("gateway.authorise.remembered_max", "65536", 16, 10000000,
           "Answers that one shard remembers; beyond, the oldest refusals are forgotten, then "
           "rooms are refused for now."),
    DURATION("gateway.reconnect_window", "2s", 0, 10 * MINUTE,
             "Clients wait a random part of it before they reconnect."),
    NUMBER(
        "gateway.reconnects_per_second", "500", 1, 1000000,
        "New sessions a second that the other replicas can take; a drain tells clients to spread "
        "over as long as that needs, at most a minute."),
    DURATION("gateway.connection_age_max", "0", 0, INT64_C(30) * 24 * HOUR,
             "Sessions are asked to reconnect in the last fifth of this age, so that they spread "
             "over new replicas; 0: never."),
};

const fw_option_t *fw_options(size_t *ret_count)
{
    *ret_count = sizeof table / sizeof *table;
    return table;
}
