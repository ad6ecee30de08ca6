#!/usr/bin/env bash
# What a request costs on its way through rbeed, beside nginx and haproxy: the same upstream
# (tests/tools/fast_worker.c), the same generator (http_load.c), Unix sockets, kept connections, in
# turns, on one core and on two. Then what a slow and a vanishing client cost (proxy_facts.py).
# Usage: bench_proxy.sh BIN-FOLDER TESTS-FOLDER; `make bench-proxy` installs what it compares with.
#
# RBEE_BENCH_ROUNDS [7] alternating rounds are measured, and medians printed: requests a second, p50
# and p99 of the latency, and processor time of the proxy's processes (without upstream and generator)
# for each request; "loop" is what of it their main threads took, for rbeed without the thread that
# writes a row for the beginning and the end of each request. A ratio is to nginx in the same run.
set -euo pipefail

bin=$1 tests=$2
here=$(cd "$(dirname "$0")" && pwd)
rounds=${RBEE_BENCH_ROUNDS:-7}
for program in nginx haproxy python3 taskset; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || { echo "no $program here" >&2; exit 77; }
done
PATH=$PATH:/usr/sbin
world=$(mktemp -d /tmp/rbp.XXXXXX)
started=()
finish() {
    [ "${#started[@]}" -eq 0 ] || kill "${started[@]}" 2>/dev/null || true # one may have ended
    wait
    rm -rf "$world"
}
trap finish EXIT

# A row for each: its name, and the function start_NAME, which sets pids[NAME] and sockets[NAME]. What
# rbeed does on top is one more row, whose function gives start_rbeed the configuration for it and sets
# headers[NAME] to the header that asks for it.
VARIANTS=(nginx haproxy rbee rbee+deadline rbee+audit rbee+port)
declare -A pids sockets headers

# ---- what is started ----

wait_for_socket() {
    local end=$((SECONDS + 10))
    until [ -S "$1" ]; do
        [ "$SECONDS" -lt "$end" ] || { echo "nobody listens on $1" >&2; exit 1; }
        sleep 0.02
    done
}

children_of() { pgrep -P "$1" -d, || true; }

start_upstream() {
    "$tests/fast_worker" --listen "$world/upstream.sock" 2>/dev/null &
    started+=($!)
    wait_for_socket "$world/upstream.sock"
}

# One worker process, connections to the upstream kept, nothing buffered and nothing logged.
start_nginx() {
    local user=
    [ "$(id -u)" -ne 0 ] || user="user root;" # else its worker becomes one who cannot enter $world
    cat >"$world/nginx.conf" <<END
$user
worker_processes 1;
daemon off;
pid $world/nginx.pid;
error_log /dev/null crit;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $world/t1; proxy_temp_path $world/t2; fastcgi_temp_path $world/t3;
    uwsgi_temp_path $world/t4; scgi_temp_path $world/t5;
    keepalive_requests 10000000;
    upstream worker { server unix:$world/upstream.sock; keepalive 128; keepalive_requests 10000000; }
    server {
        listen unix:$world/nginx.sock;
        client_body_buffer_size 64k;
        location / {
            proxy_pass http://worker;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }
    }
}
END
    nginx -c "$world/nginx.conf" -p "$world" 2>/dev/null &
    started+=($!)
    wait_for_socket "$world/nginx.sock"
    pids[nginx]=$!,$(children_of $!)
    sockets[nginx]=$world/nginx.sock
}

start_haproxy() {
    cat >"$world/haproxy.cfg" <<END
global
    nbthread 1
    maxconn 2000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend front
    bind unix@$world/haproxy.sock
    default_backend worker
backend worker
    server one unix@$world/upstream.sock pool-max-conn 128
END
    haproxy -f "$world/haproxy.cfg" -q 2>/dev/null &
    started+=($!)
    wait_for_socket "$world/haproxy.sock"
    pids[haproxy]=$!
    sockets[haproxy]=$world/haproxy.sock
}

# start_rbeed NAME [CONFIGURATION]: a supervisor of its own, whose one worker is the upstream.
start_rbeed() {
    local name=$1 folder=$world/$1
    mkdir -p "$folder/config/rbee"
    mkdir -m 700 "$folder/run"
    cat >"$folder/config/rbee/rbee.conf" <<END
supervisor { worker_program = "$tests/fast_worker" }
life { idle_stop = off }
${2:-}
END
    chmod 600 "$folder/config/rbee/rbee.conf"
    echo model >"$folder/fast.gguf"
    XDG_CONFIG_HOME=$folder/config XDG_STATE_HOME=$folder/state XDG_RUNTIME_DIR=$folder/run \
        HOME=$folder "$bin/rbeed" 2>"$folder/log" &
    started+=($!)
    pids[$name]=$!
    sockets[$name]=$folder/run/rbee/rbee.sock
    wait_for_socket "${sockets[$name]}"
    curl -sS --fail --unix-socket "${sockets[$name]}" http://rbee/v1/models \
        -d "{\"path\":\"$folder/fast.gguf\"}" >/dev/null
    curl -sS --fail --unix-socket "${sockets[$name]}" http://rbee/v1/inference \
        -d @"$world/small" >/dev/null # now its worker runs
}

start_rbee() { start_rbeed rbee; }

# Of the same rbeed: a request without that header has the configuration's deadline.
start_rbee+deadline() {
    pids[rbee+deadline]=${pids[rbee]}
    sockets[rbee+deadline]=${sockets[rbee]}
    headers[rbee+deadline]="X-Timeout-Ms: 60000"
}

start_rbee+audit() { start_rbeed rbee+audit 'audit { mode = local }'; }

# With a token on TCP, which costs more than a Unix socket by itself.
start_rbee+port() {
    local token=bench-0123456789abcdef
    mkdir -p "$world/rbee+port/config/rbee"
    (umask 077 && echo "$token" >"$world/rbee+port/config/rbee/token")
    start_rbeed rbee+port 'supervisor { listen = "127.0.0.1:0" }'
    headers[rbee+port]="Authorization: Bearer $token"
    sockets[rbee+port]=$(curl -sS --unix-socket "${sockets[rbee+port]}" http://rbee/v1/status |
        sed -n 's/.*"listen":"\([^"]*\)".*/\1/p')
}

# ---- what is asked ----

WORKLOADS=(small post sse)
declare -A TITLES=([small]="small JSON" [post]="POST of 4 KB" [sse]="SSE of 100 events, one each ms")

write_bodies() {
    local text
    text=$(head -c 4000 /dev/zero | tr '\0' x)
    printf '{"model":"fast","prompt":"hi","stream":false,"max_tokens":1}' >"$world/small"
    printf '{"model":"fast","prompt":"%s","stream":false,"max_tokens":1}' "$text" >"$world/post"
    printf '{"model":"fast","prompt":"hi"}' >"$world/sse"
}

# Requests of a round: some tenths of a second's worth.
request_count() { # WORKLOAD CONNECTIONS
    case $1 in
    sse) echo $(($2 * 4)) ;;
    *) echo $((3000 + $2 * 50)) ;;
    esac
}

# Moves the proxy, the upstreams and what is started from here on to the cores of LIST.
pin() { # LIST
    local pid
    for pid in $(pgrep -P $$) $(tr , ' ' <<<"${pids[*]}"); do
        taskset -apc "$1" "$pid" >/dev/null 2>&1 || true # a helper of this moment
    done
    for pid in $(pgrep -f "^$tests/fast_worker"); do
        taskset -apc "$1" "$pid" >/dev/null
    done
}

# ---- what is printed ----

median_of() { # FILE COLUMN
    awk -v column="$2" '{ print $column }' "$1" | sort -n | sed -n "$((rounds / 2 + 1))p"
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

print_table() { # WORKLOAD CONNECTIONS CORES
    local variant file reference=$world/result.nginx column
    local -a value ref
    for column in 1 2 3 4 5; do
        ref+=("$(median_of "$reference" "$column")")
    done
    for variant in "${VARIANTS[@]}"; do
        file=$world/result.$variant
        value=()
        for column in 1 2 3 4 5; do
            value+=("$(median_of "$file" "$column")")
        done
        printf '%-30s %3s %5s  %-13s %9.0f %5s %9.0f %9.0f %5s %9.1f %5s %9.1f\n' "${TITLES[$1]}" "$2" "$3" "$variant" \
            "${value[0]}" "$(ratio "${value[0]}" "${ref[0]}")" "${value[1]}" \
            "${value[2]}" "$(ratio "${value[2]}" "${ref[2]}")" \
            "${value[3]}" "$(ratio "${value[3]}" "${ref[3]}")" "${value[4]}"
    done
}

measure() { # WORKLOAD CONNECTIONS CORES-LIST CORES
    local variant count
    count=$(request_count "$1" "$2")
    rm -f "$world"/result.*
    for _ in $(seq "$rounds"); do
        for variant in "${VARIANTS[@]}"; do
            taskset -c "$3" "$tests/http_load" "${sockets[$variant]}" "$2" "$count" "$world/$1" "${pids[$variant]}" \
                ${headers[$variant]:+"${headers[$variant]}"} >>"$world/result.$variant"
        done
    done
    print_table "$1" "$2" "$4"
}

write_bodies
start_upstream
for variant in "${VARIANTS[@]}"; do
    "start_$variant"
done
printf '%-30s %3s %5s  %-13s %9s %5s %9s %9s %5s %9s %5s %9s\n' request at cores proxy \
    req/s ratio p50us p99us ratio CPUus ratio loop
for cores in 0 0,1; do
    pin "$cores"
    for workload in ${RBEE_BENCH_WORKLOADS:-"${WORKLOADS[@]}"}; do
        for connections in 1 16 64; do
            measure "$workload" "$connections" "$cores" "$(tr -dc , <<<"$cores," | wc -c)"
        done
    done
done

start_rbeed facts
"$here/proxy_facts.py" "${sockets[facts]}" "${pids[facts]}" "$world/facts/state/rbee/logs/fast.log"
