# terminal.sh - runs tasks and shows how they are doing.                     SPDX-License-Identifier: MPL-2.0
# A task is a command in a process group of its own whose output goes to a log. On a terminal, one line ticks while
# tasks run; elsewhere each task prints a line when it begins and one when it ends. Sourced by ./dev.

declare -A task_pid task_title task_log task_began_ms task_result task_took_ms task_hint
tasks_running=()

if [[ -t 1 && -z ${CI:-} && ${TERM:-dumb} != dumb ]]; then
    interactive=1
    if [[ -n ${NO_COLOR:-} ]]; then
        bold='' dim='' red='' green='' yellow='' plain=''
    else
        bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[0m'
    fi
else
    interactive=0 bold='' dim='' red='' green='' yellow='' plain=''
fi

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# 850 -> "0.9 s", 75000 -> "1 min 15 s"
duration() {
    local ms=$1
    if ((ms < 60000)); then
        printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
    else
        printf '%d min %d s' $((ms / 60000)) $((ms % 60000 / 1000))
    fi
}

clear_line() { if ((interactive)); then printf '\r\e[K'; fi; }
say() { clear_line; printf '%s\n' "$*"; }
warn() { clear_line; printf '%s\n' "${yellow}note:${plain} $*" >&2; }
# Ends the script: what is wrong, and what to do about it.
die() {
    clear_line
    printf '%s\n' "${red}${bold}$1${plain}" >&2
    shift
    if (($# > 0)); then printf '  %s\n' "$@" >&2; fi
    exit 1
}

# task_start KEY TITLE LOG COMMAND...: a function or a program.
task_start() {
    local key=$1 title=$2 log=$3
    shift 3
    mkdir -p "$(dirname "$log")"
    task_title[$key]=$title task_log[$key]=$log task_began_ms[$key]=$(now_ms)
    set -m # a process group per task, so that all of it can be stopped
    (
        set -euo pipefail
        trap - EXIT INT TERM HUP
        "$@"
    ) >"$log" 2>&1 </dev/null &
    task_pid[$key]=$!
    set +m
    tasks_running+=("$key")
    if ((!interactive)); then say "... $title"; fi
}

# A caller may define these again: to keep a task's result, and to add something to its line.
task_record() { :; }
task_note() { :; }

task_finish() {
    local key=$1 result=0 running=() other
    wait "${task_pid[$key]}" || result=$?
    task_result[$key]=$result
    task_took_ms[$key]=$(($(now_ms) - ${task_began_ms[$key]}))
    task_record "$key" "$result"
    for other in "${tasks_running[@]}"; do
        if [[ $other != "$key" ]]; then running+=("$other"); fi
    done
    tasks_running=("${running[@]}")
    if ((result == 0)); then
        say "${green}ok${plain}  ${task_title[$key]}  ${dim}$(duration "${task_took_ms[$key]}")${plain}  $(task_note "$key")"
    else
        task_explain "$key"
    fi
}

task_explain() {
    local key=$1 log=${task_log[$1]}
    say "${red}${bold}FAILED${plain}  ${bold}${task_title[$key]}${plain}  ${dim}$(duration "${task_took_ms[$key]}"), exit code ${task_result[$key]}${plain}  $(task_note "$key")"
    tail -n "${FAILURE_LINES:-40}" "$log" | sed 's/^/    | /'
    say "    The whole log: ${log#"$root"/}"
    if [[ -n ${task_hint[$key]:-} ]]; then say "    ${bold}Next:${plain} ${task_hint[$key]}"; fi
}

# One line: every running task with its seconds, and the last thing that the first of them said.
draw_status() {
    local frames='|/-\' key line='' text last
    local columns=${COLUMNS:-0}
    if ((columns < 20)); then columns=$(tput cols 2>/dev/null || echo 80); fi
    for key in "${tasks_running[@]}"; do
        text="${task_title[$key]} $((($(now_ms) - ${task_began_ms[$key]}) / 1000)) s"
        line+="${line:+  +  }$text"
    done
    if ((${#tasks_running[@]} == 1)); then
        last=$(tail -c 400 "${task_log[${tasks_running[0]}]}" 2>/dev/null | tr '\r' '\n' | sed 's/\x1b\[[0-9;]*[A-Za-z]//g' |
            tr -cd '\n[:print:]' | sed '/^ *$/d' | tail -n 1) || last=''
        if [[ -n $last ]]; then line+="  $last"; fi
    fi
    printf '\r\e[K%s %s' "${frames:$1:1}" "${line:0:$((columns - 4))}"
}

# Waits until one task has ended.
task_wait_any() {
    local key frame=0
    while true; do
        for key in "${tasks_running[@]}"; do
            if ! kill -0 "${task_pid[$key]}" 2>/dev/null; then
                task_finish "$key"
                return 0
            fi
        done
        if ((interactive)); then
            draw_status $((frame++ % 4))
        fi
        sleep 0.1
    done
}

# run_task KEY TITLE LOG COMMAND...: starts a task and waits for it; its exit code is in task_result[KEY]. Itself it
# always succeeds: behind || or if, bash would ignore "set -e" in the task as well.
run_task() {
    unset "task_result[$1]"
    task_start "$@"
    while [[ -z ${task_result[$1]:-} ]]; do task_wait_any; done
}

# Like run_task, and ends the script when the task fails. Never call it behind || or in a condition either.
must_run() {
    run_task "$@"
    if ((${task_result[$1]} != 0)); then exit 1; fi
}

# Ends every running task with all its children: asks first, then insists.
tasks_stop() {
    local key tries
    for key in "${tasks_running[@]}"; do kill -TERM -- "-${task_pid[$key]}" 2>/dev/null || true; done
    for ((tries = 0; tries < 30; tries++)); do
        local alive=0
        for key in "${tasks_running[@]}"; do
            if kill -0 -- "-${task_pid[$key]}" 2>/dev/null; then alive=1; fi
        done
        if ((!alive)); then break; fi
        sleep 0.1
    done
    for key in "${tasks_running[@]}"; do kill -KILL -- "-${task_pid[$key]}" 2>/dev/null || true; done
    tasks_running=()
}
