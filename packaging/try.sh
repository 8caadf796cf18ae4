#!/usr/bin/env bash
# Tries amp-gateway.service under a real systemd, and the Containerfile with podman: both serve paid calls on a chain of
# this machine's own, take new prices, are killed and come back, are stopped and settle. `make packaging`.
# usage: packaging/try.sh [unit] [container]    both, unless one is named
#
# Needs: root, Debian (it installs what is missing of debootstrap, systemd-container, podman, runc, socat,
# python3 and curl), 6 GB below /var/tmp while it runs, the ports below. With the compilation in the container it takes as
# long as that does; AMP_TRY_BIN, a folder with `amp` and `amp-localnet`, leaves all compilations out, also that one.
# Everything else of it is gone when it ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
parts=("$@")
[ $# -gt 0 ] || parts=(unit container)
mirror=${AMP_TRY_MIRROR:-http://deb.debian.org/debian}
chain=18899 api=18000                         # the chain tells of changes one port above
declare -A gateway=([unit]=18402 [container]=28402) operations=([unit]=19402 [container]=29402)
token=0123456789abcdef0123456789abcdef subnet=10.213.74

fail() { printf '*** %s\n' "$*" >&2; exit 1; }
step() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }
[ "$(id -u)" = 0 ] || fail "it boots a system and runs containers: root only"

missing=()
for needed in debootstrap:debootstrap systemd-nspawn:systemd-container podman:podman runc:runc socat:socat \
    python3:python3 curl:curl nsenter:util-linux pgrep:procps; do
    command -v "${needed%%:*}" >/dev/null || missing+=("${needed##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
    step "installing ${missing[*]}"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
fi
for port in $chain $((chain + 1)) $api "${gateway[@]}" "${operations[@]}"; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then fail "port $port of this machine is in use"; fi
done

work=$(mktemp -d /var/tmp/amp-packaging.XXXXXX)
started=() # what runs in the background, to be ended
# its own store of images, so that nothing of anybody else's is touched
podman=(podman --root "$work/images" --runroot "$work/run")
[ -d /run/systemd/system ] || podman+=(--cgroup-manager cgroupfs)
# crun refuses where both versions of control groups are mounted
[ ! -d /sys/fs/cgroup/unified ] || podman+=(--runtime runc)
# where root may not raise limits, podman's defaults are refused
limits=(--ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" --ulimit nproc=4096:4096)

finish() {
    local pid
    set +e
    "${podman[@]}" rm -qfat 0 >/dev/null 2>&1
    "${podman[@]}" network rm -f amp-try >/dev/null 2>&1
    "${podman[@]}" rmi -qfa >/dev/null 2>&1
    for pid in "${started[@]}"; do kill "$pid"; done 2>/dev/null
    # systemd-nspawn shuts its system down
    wait
    # left by a debootstrap that was interrupted, and by podman
    umount -q "$work"/*/proc "$work"/*/sys "$work/images/overlay" 2>/dev/null
    rm -rf --one-file-system "$work"
}
trap finish EXIT

background() { # log command...
    local log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null &
    started+=($!)
}

# waits until a command succeeds, for as many seconds
within() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || return 1
        sleep 0.2
    done
}

# --- what both are tried with: a chain, an API, somebody who pays -----------------------------------------------------
if [ -n "${AMP_TRY_BIN:-}" ]; then
    bin=$AMP_TRY_BIN
else
    step "compiling the chain and the command"
    cargo build --locked --workspace --bin amp-localnet --bin amp
    bin=${CARGO_TARGET_DIR:-target}/debug
fi
bin=$(realpath "$bin")
background "$work/chain.log" "$bin/amp-localnet" --port $chain --folder "$work/localnet"
mkdir "$work/api"
echo "an answer" >"$work/api/index.html"
background "$work/api.log" python3 -m http.server $api --bind 127.0.0.1 --directory "$work/api"
within 60 test -f "$work/localnet/env" || fail "the chain does not start: $(cat "$work/chain.log")"
# shellcheck source=/dev/null
. "$work/localnet/env"

configure() { # folder, listening address, the port of clients, of operations, where API and chain are, the store's line
    mkdir -p "$1"
    install -m 0600 "$work/localnet/service.json" "$1/service.json"
    (umask 077 && echo $token >"$1/operator.token")
    # settles every hour and when it stops, so that what is settled then is seen
    cat >"$1/amp.toml" <<TOML
listen = "$2:$3"
operations = "$2:$4"
$6

[upstream]
url = "http://$5:$api"

[chain]
rpc = "http://$5:$chain"
network = "localnet"

[service]
mint = "$AMP_MINT"
$7

[store]
sqlite = "/var/lib/amp/service.db"

[settlement]
interval = 5
every = 3600

[prices]
price = "0.001"
TOML
}

healthy() { curl -sf "http://127.0.0.1:${operations[$part]}/health/ready"; }

pays() { # what the call must cost
    local said answer
    answer=$(AMP_STORE="$work/$part.agent.db" "$bin/amp" call "http://127.0.0.1:${gateway[$part]}/" --yes 2>"$work/paid") \
        || fail "$part: the paid call failed: $(cat "$work/paid")"
    said=$(cat "$work/paid")
    [[ $answer == "an answer" && $said == *"cost $1 "* ]] || fail "$part: not $1 for an answer: $answer, $said"
    echo "paid call: $said"
}

serves() {
    within 60 healthy || fail "$part: it is not ready: $(logged)"
    local status
    status=$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:${gateway[$part]}/")
    [ "$status" = 402 ] || fail "$part: an unpaid call got $status"
    curl -sf -H "Authorization: Bearer $token" "http://127.0.0.1:${operations[$part]}/api/summary" >/dev/null \
        || fail "$part: the operator's token of the file is not the one that is asked for"
}

settled() { # how it ended: nothing may be left
    local log
    log=$(logged)
    # of the log, which has decimals; the line for people says the same in base units
    grep -Eq ' settled settled=0\.0*[1-9][0-9]* channels=1' <<<"$log" || fail "$part: nothing was settled at the stop: $log"
    ! grep -q "not settled yet" <<<"$log" || fail "$part: something is left: $log"
    ! grep -q $'\e' <<<"$log" || fail "$part: the log is coloured: $log"
    echo "its log:"
    cat <<<"$log"
}

# --- the unit ---------------------------------------------------------------------------------------------------------
inside() { nsenter -t "$leader" -m -u -i -p -C -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"; }
property() { inside systemctl show --value -p "$1" amp-gateway; }
restarted() { [ "$(property NRestarts)" = 1 ]; }
booted() { inside systemctl is-system-running | grep -Eq 'running|degraded'; }

try_unit() {
    logged() { inside journalctl -u amp-gateway -o cat --no-pager --all; }
    local root=$work/system
    step "unit: a system to boot"
    # the release of this machine, whose C library the binary was linked with
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus \
        "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" "$mirror" >"$work/debootstrap.log" 2>&1 \
        || fail "debootstrap: $(tail -5 "$work/debootstrap.log")"
    echo "127.0.0.1 localhost" >"$root/etc/hosts"
    install "$bin/amp" "$root/usr/local/bin/amp"
    # by name, so that looking names up is tried in the sandbox too
    configure "$root/etc/amp" 127.0.0.1 "${gateway[unit]}" "${operations[unit]}" localhost "" ""
    install -m 0644 packaging/amp-gateway.service "$root/etc/systemd/system/"
    # no service of this machine's systemd, which may not even run; the network is shared
    background "$work/nspawn.log" systemd-nspawn -qD "$root" --register=no --keep-unit --resolv-conf=off --console=pipe -b
    local nspawn=${started[-1]}
    within 30 pgrep -P "$nspawn" || fail "systemd-nspawn: $(cat "$work/nspawn.log")"
    leader=$(pgrep -P "$nspawn" | head -1)
    within 90 booted || fail "the system does not boot: $(cat "$work/nspawn.log")"

    step "unit: start, pay"
    inside systemd-analyze verify /etc/systemd/system/amp-gateway.service
    inside systemctl enable --now amp-gateway
    serves
    pays 0.001
    inside systemd-analyze security --no-pager amp-gateway | tail -1
    step "unit: new prices"
    sed -i 's/^price = "0.001"/price = "0.002"/' "$root/etc/amp/amp.toml"
    inside systemctl reload amp-gateway
    pays 0.002
    step "unit: killed"
    inside systemctl kill -s KILL amp-gateway
    within 30 restarted || fail "unit: it was not restarted: $(logged)"
    serves
    pays 0.002
    step "unit: stopped"
    sleep 8 # the channel's interval is 5
    inside systemctl stop amp-gateway
    local ended
    ended="$(property Result) $(property ExecMainStatus) $(property ActiveState)"
    [ "$ended" = "success 0 inactive" ] || fail "unit: it ended with $ended: $(logged)"
    settled
    kill "$nspawn"
    wait "$nspawn" || true
}

# --- the image --------------------------------------------------------------------------------------------------------
# A stand-in for a base image where there is no registry: Debian, and for the builder a compiler and this machine's Rust.
stand_in() {
    echo "no registry can be reached: stand-ins for the base images" >&2
    debootstrap --variant=minbase bookworm "$work/debian" "$mirror" >"$work/debootstrap.log" 2>&1 \
        || fail "debootstrap: $(tail -5 "$work/debootstrap.log")"
    rm -rf "$work"/debian/var/cache/apt/archives/*.deb
    tar -C "$work/debian" -c . | "${podman[@]}" import -q - docker.io/library/debian:bookworm-slim >/dev/null
    mkdir "$work/builder"
    {
        echo "FROM docker.io/library/debian:bookworm-slim"
        if [ -n "${AMP_TRY_BIN:-}" ]; then
            install "$bin/amp" "$work/builder/amp"
            printf '#!/bin/sh\ninstall -D /opt/amp target/release/amp\n' >"$work/builder/cargo"
            chmod +x "$work/builder/cargo"
            echo "COPY amp /opt/amp"
            echo "COPY cargo /usr/local/bin/cargo"
        else
            mkdir "$work/builder/bin"
            cp -a "$(rustc --print sysroot)"/bin/{cargo,rustc} "$work/builder/bin/"
            cp -a "$(rustc --print sysroot)/lib" "$work/builder/lib"
            # what this machine trusts
            cp -L /etc/ssl/certs/ca-certificates.crt "$work/builder/"
            echo "RUN apt-get update && apt-get install -y --no-install-recommends build-essential pkg-config ca-certificates"
            echo "COPY ca-certificates.crt /etc/ssl/certs/"
            echo "COPY bin /usr/local/bin"
            echo "COPY lib /usr/local/lib"
            echo "ENV CARGO_HOME=/usr/local/cargo"
        fi
    } >"$work/builder/Containerfile"
    build -t docker.io/library/rust:1.95-bookworm "$work/builder"
    rm -rf "$work/builder" "$work/debian"
}

build() {
    # under the host's network: a build needs no more than the registries
    "${podman[@]}" build "${limits[@]}" --network host "$@" >"$work/build.log" 2>&1 || fail "build: $(tail -20 "$work/build.log")"
}

main_process() { "${podman[@]}" inspect -f '{{.State.Pid}}' amp; }
came_back() { local pid && pid=$(main_process) && [ "$pid" != 0 ] && [ "$pid" != "$1" ]; }

try_container() {
    logged() { "${podman[@]}" logs amp 2>&1; }
    step "container: base images"
    local offline=0 crates=${CARGO_HOME:-$HOME/.cargo}/registry
    for image in docker.io/library/debian:bookworm-slim docker.io/library/rust:1.95-bookworm; do
        "${podman[@]}" pull -q "$image" >/dev/null 2>&1 || offline=1
    done
    [ $offline = 0 ] || stand_in
    [ $offline = 1 ] || [ -z "${AMP_TRY_BIN:-}" ] || echo "AMP_TRY_BIN is for stand-ins: with real base images it compiles" >&2
    step "container: build"
    mkdir -p "$crates"
    # crates that are here need not be fetched again; O: what the build adds is dropped
    build -v "$crates:/usr/local/cargo/registry:O" -f packaging/Containerfile -t amp .
    "${podman[@]}" images --noheading --format '{{.Repository}} {{.Size}}' localhost/amp

    # chain and API listen on loopback, which a container has its own of
    "${podman[@]}" network create --subnet $subnet.0/24 --gateway $subnet.1 amp-try >/dev/null
    # there is a bridge once somebody is on it
    "${podman[@]}" run -qd "${limits[@]}" --network amp-try --entrypoint sleep amp infinity >/dev/null
    local port
    for port in $api $chain $((chain + 1)); do
        background "$work/socat.$port.log" socat "TCP-LISTEN:$port,bind=$subnet.1,fork,reuseaddr" "TCP:127.0.0.1:$port"
    done

    step "container: start, pay"
    configure "$work/amp" 0.0.0.0 8402 9402 $subnet.1 'operator_token_file = "operator.token"' 'keypair = "service.json"'
    chown 8402 "$work/amp/service.json" "$work/amp/operator.token"
    "${podman[@]}" run -qd --name amp "${limits[@]}" --network amp-try --restart on-failure --stop-timeout 180 \
        -v "$work/amp:/etc/amp:ro" -v amp-books:/var/lib/amp \
        -p "${gateway[container]}:8402" -p "127.0.0.1:${operations[container]}:9402" amp >/dev/null
    serves
    pays 0.001
    step "container: new prices"
    sed -i 's/^price = "0.001"/price = "0.002"/' "$work/amp/amp.toml"
    "${podman[@]}" kill -s HUP amp >/dev/null
    sleep 0.5
    pays 0.002
    step "container: killed"
    # not by podman, which takes its own kill for a wish that it be stopped
    local before
    before=$(main_process)
    kill -9 "$before"
    within 30 came_back "$before" || fail "container: it was not restarted"
    serves
    pays 0.002
    step "container: stopped"
    sleep 8 # the channel's interval is 5
    "${podman[@]}" stop amp >/dev/null
    local ended
    ended=$("${podman[@]}" inspect -f '{{.State.ExitCode}} {{.State.Status}}' amp)
    [ "$ended" = "0 exited" ] || fail "container: it ended with $ended: $(logged)"
    settled
    # another container on the same volume goes on with the same books
    "${podman[@]}" rm -f amp >/dev/null
    "${podman[@]}" run -qd --name amp "${limits[@]}" --network amp-try --stop-timeout 180 \
        -v "$work/amp:/etc/amp:ro" -v amp-books:/var/lib/amp \
        -p "${gateway[container]}:8402" -p "127.0.0.1:${operations[container]}:9402" amp >/dev/null
    serves
    grep -q "channels=1" <<<"$(logged)" || fail "container: the books are gone: $(logged)"
    pays 0.002
}

for part in "${parts[@]}"; do
    case $part in
    unit | container) "try_$part" ;;
    *) fail "usage: packaging/try.sh [unit] [container]" ;;
    esac
done
step "done: ${parts[*]}"
