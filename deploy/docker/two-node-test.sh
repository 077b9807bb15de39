#!/usr/bin/env bash
# Two nodes in containers, and a guest that goes from one to the other and back. On each way its link breaks twice while most of its pages
# are missing: one container is paused, the other one's network is disconnected. In the end the guest itself says whether its memory is
# whole.
#
# Needs root, /dev/kvm, /dev/userfaultfd, Docker with compose 2 or docker-compose 1.29, and iproute2. It uses the engine that runs here;
# where none does, it starts one in namespaces of its own, which changes neither addresses nor rules of this machine. Where no registry
# answers, debootstrap makes the base images, from the mirror that apt uses; the SDK is this machine's, and native code is compiled by
# deploy/native.sh before.
#
# Leaves nothing behind, also when it is interrupted. Its last line is the verdict. Its exit code is 0 when all is well, 77 when this
# machine cannot run it, and another one when something is wrong.
set -Eeuo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
project=migrationd-test-$$
scratch=$(mktemp -d)
reason=
child=         # what `bounded` runs
engine_parent= # unshare, whose end is the end of the engine of our own and of everything in it
engine=        # that engine as this machine sees it
most_mebibytes=60
inside=()      # prefix of a command that has to see the containers' processes
fetched=()     # images that were not here before
containers=no  # whether there may be any
declare -A id_of=()

export COMPOSE_FILE=$here/compose.yaml COMPOSE_PROJECT_NAME=$project MIGRATIOND_IMAGE=$project BUILD_NAME=$project
export DOCKER_CLI_HINTS=false COMPOSE_INTERACTIVE_NO_CLI=1

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
fail() { reason=$*; exit 1; }
skip() { reason=$*; exit 77; }

# Runs a command for at most so many seconds. Unlike a command in the foreground it does not put off this script's own traps, and it ends
# with this script, however that ends.
bounded() {
  setpriv --pdeathsig TERM timeout -k 10 "$@" &
  child=$!
  local status=0
  wait "$child" || status=$?
  child=
  return "$status"
}

docker() { timeout -k 10 60 docker "$@"; }
compose() { timeout -k 10 120 "${compose_command[@]}" "$@"; }
if timeout 20 docker compose version >/dev/null 2>&1; then compose_command=(docker compose); else compose_command=(docker-compose); fi

# Waits until a command succeeds: until_true SECONDS WHAT COMMAND...
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || fail "waited in vain until $what"
    sleep 0.2
  done
}

# ---- the end of everything

# The kernel ends everything in the namespaces of an engine of our own; its control groups are what it leaves.
stop_engine() {
  [ -n "$engine_parent" ] || return 0
  local deadline=$((SECONDS + 30))
  kill -KILL "$engine_parent"
  wait "$engine_parent"
  while [ -n "$(find /sys/fs/cgroup -depth -type d -path "*/$project*" ! -exec rmdir {} ';' -print)" ]; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.2
  done
}

# From an engine that goes on after this.
remove_containers() {
  [ "$containers" = yes ] && [ -z "$engine_parent" ] || return 0
  local id
  for id in $(docker ps -q --filter "name=^${project}[-_]" --filter status=paused); do docker unpause "$id"; done
  for id in $(docker ps -aq --filter "name=^$project-" && docker ps -aq --filter "label=migrationd.build=$project"); do
    docker rm -f "$id"
  done
  compose down --volumes --remove-orphans --timeout 5
  docker volume rm "$project-stranger"
  docker image rm -f "$project"
  docker image prune -f --filter "label=migrationd.build=$project"
  docker image rm -f "$project-sdk" "$project-base" ${fetched[@]+"${fetched[@]}"}
  [ -z "$(
    docker ps -aq --filter "name=^${project}[-_]"
    docker ps -aq --filter "label=migrationd.build=$project"
    docker network ls -q --filter "name=^${project}_"
    docker volume ls -q --filter "name=^${project}[-_]"
    docker image ls -aq --filter "reference=$project*"
    docker image ls -aq --filter "label=migrationd.build=$project"
  )" ]
}

explain() {
  [ "$containers" = yes ] || return 0
  local node
  for node in "${!id_of[@]}"; do
    echo "--- $node"
    cli "$node" guest list
    cli "$node" migration list
  done
  compose logs --no-color --tail 40
}

finish() {
  local status=$?
  trap '' INT TERM HUP
  trap - ERR
  set +e
  # What was interrupted may have had its output in a file.
  exec >&"$output" 2>&"$errors"
  [ -z "$child" ] || { kill "$child"; wait "$child"; } 2>/dev/null
  case $status in 0 | 77 | 129 | 130 | 143) ;; *) explain 2>&1 ;; esac
  remove_containers >/dev/null 2>&1 || { status=1; reason="${reason:+$reason; }containers, networks or images of $project are left"; }
  stop_engine 2>/dev/null || { status=1; reason="${reason:+$reason; }processes or control groups of $project are left"; }
  rm -rf --one-file-system "$scratch" || { status=1; reason="${reason:+$reason; }$scratch is left"; }
  case $status in
    0) echo "two-node-test: ok: $reason" ;;
    77) echo "two-node-test: skipped: $reason" ;;
    129 | 130 | 143) echo "two-node-test: interrupted" ;;
    *) echo "two-node-test: failed: $reason" ;;
  esac
  exit "$status"
}
exec {output}>&1 {errors}>&2
trap finish EXIT
trap 'reason=${reason:-"line $LINENO: $BASH_COMMAND"}' ERR
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- the engine

require() { # require WHAT-FOR PROGRAM...
  local what=$1 program
  shift
  for program; do
    command -v "$program" >/dev/null || skip "$program is missing, $what"
  done
}

# In namespaces of its own an engine may change addresses, rules, mounts and files of the system as it likes, and leaves nothing when it
# ends. The kernel ends it with this script, even where that cannot clean up.
in_engine_namespaces='
  set -e
  ip link set lo up
  mount -t tmpfs tmpfs /run
  for folder in etc opt; do
    mkdir -p /run/$folder/upper /run/$folder/work
    mount -t overlay -o lowerdir=/$folder,upperdir=/run/$folder/upper,workdir=/run/$folder/work overlay /$folder
  done
  exec "$@"'
start_engine() {
  require "and no Docker engine runs here" dockerd unshare
  mkdir "$scratch/engine"
  setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
    sh -c "$in_engine_namespaces" sh \
    dockerd --data-root "$scratch/engine/data" --exec-root "$scratch/engine/exec" --pidfile "$scratch/engine/pid" \
    --host "unix://$scratch/docker.sock" --cgroup-parent "/$project" --exec-opt native.cgroupdriver=cgroupfs \
    >"$scratch/engine/log" 2>&1 {output}>&- {errors}>&- &
  engine_parent=$!
  export DOCKER_HOST=unix://$scratch/docker.sock
  local deadline=$((SECONDS + 60))
  until docker info >/dev/null 2>&1; do
    if ! kill -0 "$engine_parent" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
      tail -n 20 "$scratch/engine/log"
      fail "dockerd does not start; its last lines are above"
    fi
    sleep 0.2
  done
  engine=$(tr -d ' ' <"/proc/$engine_parent/task/$engine_parent/children")
  inside=(nsenter --target "$engine" --mount --pid --)
  say "a Docker engine of its own runs, $(docker version --format '{{.Server.Version}}')"
}

# ---- the images

# What the Dockerfile names, or the environment, when a registry has it.
fetch_images() {
  local argument image
  for argument in SDK_IMAGE BASE_IMAGE; do
    image=${!argument:-$(sed -n "s/^FROM \${$argument:-\(.*\)}.*/\1/p" "$here/Dockerfile")}
    docker image inspect "$image" >/dev/null 2>&1 && continue
    bounded 600 docker pull --quiet "$image" >/dev/null 2>&1 || return 1
    fetched+=("$image")
  done
}

# The same out of what this machine has: a tree of its distribution; that with the SDK, to build; and the libraries of it alone, to run.
# The former brings along what deploy/native.sh has compiled here. Asked in there, for the same sources and with the same SDK, it has the
# program already; an image that was given other sources would have to compile them, and has nothing to do it with.
make_images() {
  local dotnet suite mirror libraries=/usr/lib/x86_64-linux-gnu
  require "and no registry answers" debootstrap dotnet
  command -v clang >/dev/null || command -v gcc >/dev/null || skip "no registry answers, and clang and gcc are missing"
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  [ -n "$suite" ] || skip "no registry answers, and debootstrap makes no tree of this distribution"
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" 'Created-By: Packages' | sed -n 1p)
  say "no registry answers: debootstrap makes the base images, of $suite"
  bounded 900 unshare --mount --pid --fork --kill-child --mount-proc --propagation private \
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$scratch/tree" ${mirror:+"$mirror"} \
    >"$scratch/debootstrap.log" 2>&1 || { tail -n 20 "$scratch/debootstrap.log"; fail "debootstrap $suite $mirror failed; see above"; }

  bounded 900 "$root/deploy/native.sh" "$scratch/native/program" >/dev/null || fail "there is no native program; see above"
  cp "${MIGRATIOND_NATIVE:-$root/artifacts/native}/stamp" "$scratch/native"

  dotnet=$(dirname "$(readlink -f "$(command -v dotnet)")")
  bounded 300 tar --anchored --exclude=./dev --exclude=./proc --exclude=./sys --exclude=./var/cache -cf "$scratch/sdk.tar" \
    -C "$scratch/tree" . -C "$(dirname "$dotnet")" "$(basename "$dotnet")" -C "$scratch" native
  bounded 300 docker import \
    -c "ENV PATH=/$(basename "$dotnet"):/usr/bin:/bin HOME=/root MIGRATIOND_NATIVE=/native" \
    -c "ENV DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1" \
    "$scratch/sdk.tar" "$project-sdk" >/dev/null
  # As in the official image without a distribution: what the program is linked with, what .NET loads for TLS, and the trusted authorities.
  (
    cd "$scratch/tree"
    find ."$libraries" -maxdepth 1 -regextype posix-extended \
      -regex '.*/(ld-linux.*|lib(c|m|dl|rt|pthread|resolv|nss_.*|gcc_s|ssl|crypto)\.so\..*)'
    find ./lib ./lib64 ./usr/lib64 ./tmp ./etc/ssl ./etc/ld.so* ./etc/nsswitch.conf ./etc/os-release ./usr/lib/os-release -maxdepth 0
  ) >"$scratch/base.list" 2>/dev/null || :
  bounded 300 tar -cf "$scratch/base.tar" -C "$scratch/tree" -T "$scratch/base.list"
  bounded 300 docker import "$scratch/base.tar" "$project-base" >/dev/null
  rm -rf --one-file-system "$scratch/tree" "$scratch"/*.tar "$scratch/native"
  export SDK_IMAGE=$project-sdk BASE_IMAGE=$project-base
}

# ---- the nodes

inspect() { docker inspect --format "$2" "${id_of[$1]}"; }
is_healthy() { [ "$(inspect "$1" '{{.State.Health.Status}}')" = healthy ]; }

# Runs a command of the CLI on a node. No shell is in between.
cli() {
  local node=$1
  shift
  docker exec "${id_of[$node]}" migrationd "$@"
}

# The value of a key in one line of JSON in which the key is there once.
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }

# Runs a command of this machine in the network of a node: in_network_of NODE COMMAND...
in_network_of() {
  local process
  process=$(inspect "$1" '{{.State.Pid}}')
  shift
  ${inside[@]+"${inside[@]}"} nsenter --target "$process" --net -- "$@"
}

# Its network card, which has another name once it has been connected again.
card_of() { in_network_of "$1" ip -o link show type veth | sed -n 's/^[0-9]*: \([^@:]*\).*/\1/p'; }

# As little as compose.yaml says, as the kernel sees it.
has_no_privileges() {
  local node=$1 status expected
  status=$(${inside[@]+"${inside[@]}"} cat "/proc/$(inspect "$node" '{{.State.Pid}}')/status")
  for expected in 'CapPrm:0000000000000000' 'CapBnd:0000000000000000' 'NoNewPrivs:1' 'Seccomp:2' 'Uid:1654165416541654'; do
    grep -qx "$expected" <<<"$(tr -d ' \t' <<<"$status")" || fail "$node: $expected is not in its /proc/PID/status"
  done
  [ "$(inspect "$node" '{{.HostConfig.ReadonlyRootfs}}')" = true ] || fail "$node: its root can be written to"
  ! docker exec "${id_of[$node]}" /bin/sh -c : >/dev/null 2>&1 || fail "$node: there is a shell in its image"
}

# Reached by other hosts over TLS alone, with keys that are its user's and nobody else's, and without the authority's.
knows_others_by_certificates() {
  local node=$1 setting keys
  for setting in '"key":"tls","value":"/etc/migrationd/tls"' '"key":"insecure","value":"false"'; do
    grep -qF "$setting" <<<"$(cli "$node" config show --json)" || fail "$node: $setting is not in force"
  done
  keys=$(docker volume inspect --format '{{.Mountpoint}}' "${project}_$node-tls")
  keys=$(${inside[@]+"${inside[@]}"} find "$keys" ! -name '*-cert.pem' -printf '%f %U:%G %m\n' | sort)
  [ "$keys" = "$(printf '%s\n' '_data 1654:1654 700' 'client-key.pem 1654:1654 600' 'server-key.pem 1654:1654 600')" ] \
    || fail "$node: its TLS directory has: $keys"
}

# A third node, with a certificate of the same authority, that nobody has on a list.
refuses_strangers() {
  local said
  docker volume create "$project-stranger" >/dev/null
  docker run --rm --name "$project-stranger-certs" --network none --read-only --volume "${project}_ca:/etc/migrationd/ca:ro" \
    --volume "$project-stranger:/etc/migrationd/tls" "$project" certs issue stranger --out /etc/migrationd/tls >/dev/null
  docker run --detach --name "$project-stranger" --network "$network" --read-only --tmpfs /run/migrationd:uid=1654,gid=1654 \
    --volume "$project-stranger:/etc/migrationd/tls:ro" --env MIGRATIOND_TLS=/etc/migrationd/tls "$project" >/dev/null
  id_of[stranger]=$project-stranger
  until_true 60 "the stranger's daemon answers" cli stranger node >/dev/null 2>&1
  cli stranger guest create theirs --kind workload --memory 16MiB >/dev/null
  if said=$(cli stranger migrate theirs --to node-a:7461 2>&1); then fail "node-a has taken a guest from a stranger: $said"; fi
  # Not piped: grep ends at the first match, and who still writes into a pipe then has failed.
  grep -q 'none of its names (stranger) is in --allow-senders here' <<<"$(docker logs "${id_of[node-a]}" 2>&1)" \
    || fail "node-a does not say that it has refused a stranger, to whom was said: $said"
  [ "$(cli stranger guest show theirs --json | field state)" = running ] || fail "the stranger's guest does not go on after: $said"
  docker rm --force "$project-stranger" >/dev/null
  docker volume rm "$project-stranger" >/dev/null
  unset 'id_of[stranger]'
}

# A node that gets the devices and not the group that may open them: its daemon runs, and says that it cannot do its work.
is_sick_without_the_group() {
  local said
  docker run --detach --name "$project-shut" --network none --read-only --tmpfs /run/migrationd:uid=1654,gid=1654 \
    --device "$MIGRATIOND_USERFAULTFD:/dev/userfaultfd" --device "$MIGRATIOND_KVM:/dev/kvm" "$project" >/dev/null
  id_of[shut]=$project-shut
  until_true 60 "a daemon answers that may not open its devices" cli shut node >/dev/null 2>&1
  if said=$(cli shut health 2>&1); then fail "a daemon that may not open its devices calls itself well: $said"; fi
  grep -q "cannot do its work.*/dev/userfaultfd.*EACCES.*/dev/kvm.*EACCES" <<<"$said" \
    || fail "a daemon that may not open its devices says: $said"
  docker rm --force "$project-shut" >/dev/null
  unset 'id_of[shut]'
}

# ---- the guest

migration() { cli "$1" migration show "$2" --json 2>/dev/null; }
is_in_state() { [ "$(migration "$1" "$2" | field state)" = "$3" ]; }
has_recovered() {
  local now
  now=$(migration "$1" "$2")
  [ "$(field state <<<"$now")" = postcopy-active ] && [ "$(field recoveries <<<"$now")" -ge "$3" ]
}
guest() { cli "$1" guest show web --json 2>/dev/null; }
has_swept() {
  local sweeps
  sweeps=$(guest "$1" | field sweeps) && [ "${sweeps:-0}" -ge "$2" ]
}

# Runs on the node, goes over its memory once more from the first page to the last, and finds nothing wrong.
is_well() {
  local node=$1 now sweeps
  now=$(guest "$node")
  # A sweep that is under way may have begun on the other node; the one after it is of this node alone.
  sweeps=$(($(field sweeps <<<"$now") + 2))
  until_true 120 "the guest has gone over all of its memory on $node" has_swept "$node" "$sweeps"
  now=$(guest "$node")
  [ "$(field state <<<"$now")" = running ] || fail "the guest does not run on $node: $now"
  [ "$(field corruptPages <<<"$now")" = 0 ] || fail "the guest has found corrupt pages on $node: $now"
  say "the guest runs on $node: $(field steps <<<"$now") steps, $(field sweeps <<<"$now") sweeps, 0 corrupt pages"
}

# Moves the guest, and breaks the link twice on the way: move FROM TO
move() {
  local from=$1 to=$2 id now card
  card=$(card_of "$from")
  # So slow that most pages are missing until this is taken away.
  in_network_of "$from" tc qdisc add dev "$card" root tbf rate 100mbit burst 128k latency 50ms
  id=$(cli "$from" migrate web --to "$to:7461" --mode postcopy --detach --json | field id)
  until_true 60 "the guest runs on $to" is_in_state "$from" "$id" postcopy-active

  docker pause "${id_of[$from]}" >/dev/null
  say "the guest runs on $to, and $from, which has most of its pages, is paused"
  until_true 60 "$to has lost $from" is_in_state "$to" "$id" postcopy-paused
  docker unpause "${id_of[$from]}" >/dev/null
  until_true 60 "$from goes on" has_recovered "$from" "$id" 1

  docker network disconnect "$network" "${id_of[$to]}"
  say "$from goes on, and the network of $to is disconnected"
  until_true 60 "$from has lost $to" is_in_state "$from" "$id" postcopy-paused
  docker network connect --alias "$to" "$network" "${id_of[$to]}"
  until_true 60 "$from reaches $to again" has_recovered "$from" "$id" 2

  now=$(migration "$from" "$id")
  say "$to is reached again, $(field pagesReceived <<<"$now") of $(field pagesTotal <<<"$now") pages are there"
  in_network_of "$from" tc qdisc del dev "$card" root
  until_true 120 "the migration ends" is_in_state "$from" "$id" completed
  now=$(migration "$to" "$id")
  [ "$(field state <<<"$now") $(field pagesLost <<<"$now")" = "completed 0" ] || fail "the migration to $to lost pages: $now"
  [ "$(guest "$from" | field state)" = migrated ] || fail "$from still has the guest: $(guest "$from")"
  is_well "$to"
}

# ---- the test

[ "$(id -u)" = 0 ] || skip "root is needed, to make device nodes and to slow down the network of a container"
require "which this test needs" docker "${compose_command[0]}" tc nsenter setpriv
for device in userfaultfd kvm; do
  [ -c "/dev/$device" ] || skip "this machine has no /dev/$device"
  # Nodes of our own to the same devices, open to a group: whatever the machine's are, they stay as they are.
  mknod -m 0660 "$scratch/$device" c $(stat -c '0x%t 0x%T' "/dev/$device")
  chgrp 7461 "$scratch/$device"
done
export MIGRATIOND_USERFAULTFD=$scratch/userfaultfd MIGRATIOND_KVM=$scratch/kvm MIGRATIOND_DEVICE_GROUP=7461

if docker info >/dev/null 2>&1; then
  containers=yes
  fetch_images || make_images
else
  start_engine
  make_images
fi
containers=yes
bounded 900 "${compose_command[@]}" build >"$scratch/build.log" 2>&1 \
  || { tail -n 40 "$scratch/build.log"; fail "the image cannot be built; see above"; }
size=$(($(docker image inspect --format '{{.Size}}' "$project") >> 20))
[ "$size" -le "$most_mebibytes" ] || fail "the image has $size MiB, more than $most_mebibytes"
echo "Figure: size of the image $size MiB"
say "the image is built, $size MiB"

bounded 120 "${compose_command[@]}" up --detach --no-build 2>"$scratch/up.log" \
  || { cat "$scratch/up.log"; fail "compose up failed; see above"; }
network=${project}_migration
for node in node-a node-b; do
  id_of[$node]=$(compose ps -q "$node")
  until_true 90 "$node is healthy" is_healthy "$node"
  has_no_privileges "$node"
  knows_others_by_certificates "$node"
done
say "both nodes are healthy, and know each other by certificates: $(cli node-a health)"

is_sick_without_the_group
say "a node without the devices' group says that it cannot do its work"
refuses_strangers
say "a node whose certificate is on nobody's list sends no guest"

cli node-a guest create web --memory 512MiB --working-set 256MiB >/dev/null
until_true 120 "the guest has written all of its memory" has_swept node-a 1
move node-a node-b
move node-b node-a

for node in node-a node-b; do
  until_true 60 "$node is healthy again" is_healthy "$node"
done
compose stop >/dev/null 2>&1
for node in node-a node-b; do
  status=$(inspect "$node" '{{.State.ExitCode}}')
  [ "$status" = 0 ] || fail "$node ended with $status"
done
reason="there and back in $SECONDS s, with 2 containers paused and 2 disconnected on the way; 0 corrupt pages"
