# run.sh - ./dev run: Redis, Freshwire and the example application, until Ctrl-C.   SPDX-License-Identifier: MPL-2.0
# Everything listens on this machine only, on the usual ports where they are free. Sourced by ./dev.

run_folder="$root/.run"
services=() # in the order they were started
declare -A service_pid

# port_for NAME PREFERRED: sets port_NAME; another free port when the preferred one is taken.
port_for() {
    local port
    port=$(/usr/bin/python3 - "$2" <<'END'
import socket, sys
for port in (int(sys.argv[1]), 0):
    try:
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", port))
            print(one.getsockname()[1])
            break
    except OSError:
        continue
END
    )
    if [[ $port != "$2" ]]; then warn "port $2 is taken; $1 gets $port"; fi
    printf -v "port_$1" '%s' "$port"
}

# service_start NAME COMMAND...: its output goes to .run/NAME.log; it dies with this script, however that ends. A
# function ends in an exec of setpriv itself.
service_start() {
    local name=$1
    shift
    set -m
    (
        trap - EXIT INT TERM HUP
        exec {run_lock}>&-
        if [[ $(type -t "$1") == function ]]; then "$@"; fi
        exec setpriv --pdeathsig TERM -- "$@"
    ) >"$run_folder/$name.log" 2>&1 </dev/null &
    service_pid[$name]=$!
    set +m
    services+=("$name")
}

service_alive() { kill -0 "${service_pid[$1]}" 2>/dev/null; }

service_died() {
    local name=$1 result=0
    wait "${service_pid[$name]}" || result=$?
    service_pid[$name]=''
    clear_line
    printf '%s\n' "${red}${bold}$name ended by itself, exit code $result. The end of its log:${plain}" >&2
    tail -n 25 "$run_folder/$name.log" | sed 's/^/    | /' >&2
    die "The whole log: .run/$name.log"
}

# service_wait NAME COMMAND...: until the command succeeds; at most 20 s.
service_wait() {
    local name=$1 deadline_ms=$(($(now_ms) + 20000))
    shift
    until "$@" >/dev/null 2>&1; do
        if ! service_alive "$name"; then service_died "$name"; fi
        if (($(now_ms) > deadline_ms)); then
            tail -n 25 "$run_folder/$name.log" | sed 's/^/    | /' >&2
            die "$name was not ready within 20 s." "The whole log: .run/$name.log"
        fi
        sleep 0.1
    done
    say "${green}ok${plain}  $name"
}

# Last started, first stopped: each gets ten seconds to finish what it is doing.
services_stop() {
    local index name tries
    if ((${#services[@]} > 0)); then say "Stopping. (Ctrl-C again: at once)"; fi
    trap 'services_kill; exit 130' INT
    for ((index = ${#services[@]} - 1; index >= 0; index--)); do
        name=${services[$index]}
        if [[ -z ${service_pid[$name]} ]]; then continue; fi
        kill -TERM -- "-${service_pid[$name]}" 2>/dev/null || true
        for ((tries = 0; tries < 100; tries++)); do
            if ! kill -0 -- "-${service_pid[$name]}" 2>/dev/null; then break; fi
            sleep 0.1
        done
        if kill -0 -- "-${service_pid[$name]}" 2>/dev/null; then
            warn "$name did not stop within 10 s"
            kill -KILL -- "-${service_pid[$name]}" 2>/dev/null || true
        fi
        wait "${service_pid[$name]}" 2>/dev/null || true
        service_pid[$name]=''
    done
    services=()
}

services_kill() {
    local name
    trap '' INT
    for name in "${services[@]}"; do
        if [[ -n ${service_pid[$name]} ]]; then kill -KILL -- "-${service_pid[$name]}" 2>/dev/null || true; fi
    done
}

on_run_exit() {
    local result=$?
    trap '' TERM HUP
    tasks_stop
    services_stop
    exit "$result"
}

box() {
    local line width=0
    for line in "$@"; do if ((${#line} > width)); then width=${#line}; fi; done
    printf '\n+%s+\n' "$(printf '%*s' $((width + 2)) '' | tr ' ' '-')"
    for line in "$@"; do printf '| %-*s |\n' "$width" "$line"; done
    printf '+%s+\n\n' "$(printf '%*s' $((width + 2)) '' | tr ' ' '-')"
}

# A secret of this checkout, made once: tokens stay valid over restarts.
development_secret() {
    local file=$run_folder/jwt-secret
    if [[ ! -s $file ]]; then (umask 077 && head -c 32 /dev/urandom | base64 -w 0 >"$file"); fi
    cat "$file"
}

# What freshwire runs with; its other commands (tail, publish, token) take the same file.
write_configuration() {
    (umask 077 && cat >"$run_folder/freshwire.yaml") <<END
admin:
  listen: 127.0.0.1:$port_admin
broker:
  ports:
    fire: $port_fire
    publish: $port_publish
    jobs: $port_jobs
    events: $port_events
    control: $port_control
worker:
  redis_url: redis://127.0.0.1:$port_redis
gateway:
  listen: 127.0.0.1:$port_gateway
  jwt:
    secret: $(development_secret)
  publish_keys: [development]
END
}

start_redis() {
    service_start redis redis-server --bind 127.0.0.1 --port "$port_redis" --dir "$run_folder/redis" --save '' --appendonly no
    service_wait redis redis-cli -p "$port_redis" ping
}

start_freshwire() {
    write_configuration
    service_start freshwire build/release/freshwire all --config .run/freshwire.yaml
    service_wait freshwire curl -fsS "http://127.0.0.1:$port_admin/readyz"
}

# In its own folder, since Python looks for the package "app" where it is started.
app_command() {
    cd "$root/examples/projects/api"
    export PYTHONPATH="$root/clients/python/src" PYTHONDONTWRITEBYTECODE=1
    export REDIS_URL="redis://127.0.0.1:$port_redis/0" DATABASE_PATH="$run_folder/projects.sqlite3"
    export FRESHWIRE_GATEWAY_URL="ws://127.0.0.1:$port_gateway" FRESHWIRE_PUBLISH_ENDPOINT="tcp://127.0.0.1:$port_publish"
    export FRESHWIRE_GATEWAY_JWT_SECRET_FILE="$run_folder/jwt-secret"
    exec setpriv --pdeathsig TERM -- /usr/bin/python3 -m app --port "$port_app"
}

start_app() {
    service_start app app_command
    service_wait app curl -fsS "http://127.0.0.1:$port_app/api/health"
}

# Stays until Ctrl-C, or until one of the services ends by itself.
watch_services() {
    local name
    while true; do
        for name in "${services[@]}"; do
            if ! service_alive "$name"; then service_died "$name"; fi
        done
        sleep 0.5
    done
}

command_run() {
    setup_all
    task_hint[build]="after a fix, './dev run' goes on where it stopped"
    must_run build "Build freshwire" "$logs/build-release.log" build_preset release freshwire
    setup_page
    mkdir -p "$run_folder/redis"
    exec {run_lock}>"$run_folder/lock"
    flock -n "$run_lock" || die "./dev run is already running in this checkout."
    trap on_run_exit EXIT

    port_for redis 6379
    port_for gateway 8080
    port_for admin 9090
    port_for app 8000
    port_for fire 7001
    port_for publish 7002
    port_for jobs 7003
    port_for events 7004
    port_for control 7005

    start_redis
    start_freshwire
    start_app
    box "Open  http://127.0.0.1:$port_app  in two windows:" \
        "what you change in one shows in the other. Ctrl-C stops everything."
    cat <<END
  watch     build/release/freshwire tail --config .run/freshwire.yaml
  publish   build/release/freshwire publish --config .run/freshwire.yaml \\
              --type hello --channel broadcast
  or        POST http://127.0.0.1:$port_gateway/v1/events as README.md shows
  health    http://127.0.0.1:$port_admin/readyz and /metrics
  logs      .run/freshwire.log  .run/app.log  .run/redis.log

END
    watch_services
}
