#!/usr/bin/env bash
# Two hosts with systemd, and a guest that goes from one to the other, as an operator would have it: installed by install.sh, started and
# stopped by systemctl, moved by the command line, watched in the journal. Daemons are killed, hang, and get new certificates on the way.
#
# Each host is a systemd of its own in namespaces, over a tree that debootstrap makes, with the real /dev/kvm and /dev/userfaultfd. Needs
# root, debootstrap and the mirror that apt uses, iproute2, and what deploy/native.sh needs.
#
# Leaves nothing behind, also when it is interrupted. Its last line is the verdict. Its exit code is 0 when all is well, 77 when this
# machine cannot run it, and another one when something is wrong.
set -Eeuo pipefail

# In a mount namespace of its own, which ends with this script, whatever ends that, and takes along what is mounted in it.
if [ "${1:-}" != mounted ] && unshare --mount --propagation private true 2>/dev/null; then
  exec unshare --mount --propagation private "$BASH" "$0" mounted
fi

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
project=migrationd-hosts-$$
scratch=$(mktemp -d)
reason=
groups=()          # control groups that this test made
jobs=()            # what runs beside this script
declare -A keeper=() # unshare of a host, whose end is the end of the host
declare -A init=()   # the systemd of a host, as this machine sees it
declare -A address=([alpha]=10.74.61.1 [beta]=10.74.61.2)

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
fail() { reason=$*; exit 1; }
skip() { reason=$*; exit 77; }

# Runs a function of this script beside it, for at most so many seconds, and with all that it starts it ends with this script.
beside() {
  setpriv --pdeathsig TERM timeout -k 10 "$1" bash -euo pipefail -c "$2" {output}>&- {errors}>&- &
  jobs+=($!)
}

# Waits until a command succeeds: until_true SECONDS WHAT COMMAND...
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || fail "waited in vain until $what"
    sleep 0.1
  done
}

# ---- the end of everything

# The kernel ends everything in a host's namespaces with it, and the namespaces, mounts and links with that.
end_hosts() {
  local deadline=$((SECONDS + 30)) host group
  for host in "${!keeper[@]}"; do
    kill -KILL "${keeper[$host]}" && wait "${keeper[$host]}"
  done
  for group in ${groups[@]+"${groups[@]}"}; do
    while [ -d "$group" ] && ! find "$group" -depth -type d -exec rmdir {} +; do
      [ "$SECONDS" -lt "$deadline" ] || return 1
      sleep 0.1
    done
  done
}

explain() {
  local host
  for host in "${!init[@]}"; do
    echo "--- $host"
    on "$host" systemctl status --no-pager --lines 0 migrationd.service
    on "$host" migrationd guest list
    on "$host" migrationd migration list
    on "$host" journalctl --no-pager --lines 40 --unit migrationd.service
  done
}

finish() {
  local status=$? job
  trap '' INT TERM HUP
  trap - ERR
  set +e
  # What was interrupted may have had its output in a file.
  exec >&"$output" 2>&"$errors"
  case $status in 0 | 77 | 129 | 130 | 143) ;; *) explain 2>&1 ;; esac
  for job in ${jobs[@]+"${jobs[@]}"}; do
    kill "$job" && wait "$job"
  done 2>/dev/null
  end_hosts 2>/dev/null || { status=1; reason="${reason:+$reason; }control groups of $project are left"; }
  if mountpoint -q "$scratch"; then umount --lazy "$scratch"; fi
  rm -rf --one-file-system "$scratch" || { status=1; reason="${reason:+$reason; }$scratch is left"; }
  case $status in
    0) echo "two-host-test: ok: $reason" ;;
    77) echo "two-host-test: skipped: $reason" ;;
    129 | 130 | 143) echo "two-host-test: interrupted" ;;
    *) echo "two-host-test: failed: $reason" ;;
  esac
  exit "$status"
}
exec {output}>&1 {errors}>&2
trap finish EXIT
trap 'reason=${reason:-"line $LINENO: $BASH_COMMAND"}' ERR
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- the hosts

make_tree() {
  local suite mirror
  # Any with systemd 253 or newer. What this machine itself has may be older.
  suite=$(. /etc/os-release && if [ "$ID" = debian ]; then echo trixie; else echo "${VERSION_CODENAME:-}"; fi)
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $(. /etc/os-release && echo "$VERSION_CODENAME")" 'Created-By: Packages' \
    | sed -n 1p)
  unshare --mount --pid --fork --kill-child --mount-proc --propagation private \
    debootstrap --variant=minbase --include=systemd,udev,iproute2,libssl3t64,diffutils "$suite" "$scratch/tree" \
    ${mirror:+"$mirror"} >"$scratch/debootstrap.log" 2>&1 || { tail -n 20 "$scratch/debootstrap.log"; return 1; }
}

make_build() { "$root/deploy/native.sh" "$scratch/build" >/dev/null; }

# Becomes the systemd of a host, in namespaces of its own: what it writes goes to memory, and the tree stays as it is.
become_init='
  set -e
  host=$1 scratch=$2 deploy=$3 kvm_group=$4
  mkdir -p "$scratch/$host"
  mount -t tmpfs -o mode=755 tmpfs "$scratch/$host"
  cd "$scratch/$host"
  mkdir upper work root
  mount -t overlay -o "lowerdir=$scratch/tree,upperdir=$PWD/upper,workdir=$PWD/work" overlay root
  cd root
  mount -t proc proc proc
  mount -t sysfs -o ro sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mount -t tmpfs -o mode=755 tmpfs run
  mount -t tmpfs -o mode=755 tmpfs dev
  mkdir dev/pts dev/shm
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
  mount -t tmpfs -o mode=1777 tmpfs dev/shm
  ln -s pts/ptmx dev/ptmx
  ln -s /proc/self/fd dev/fd
  for node in null zero full random urandom tty; do
    mknod -m 666 "dev/$node" c $(stat -c "0x%t 0x%T" "/dev/$node")
  done
  # As the rule for udev would have them, which has nothing to do with no devices of its own.
  for node in kvm userfaultfd; do
    mknod -m 660 "dev/$node" c $(stat -c "0x%t 0x%T" "/dev/$node")
    chown "0:$kvm_group" "dev/$node"
  done
  mkdir -p srv/deploy srv/build
  mount --bind "$deploy" srv/deploy
  mount -o remount,bind,ro srv/deploy
  mount --bind "$scratch/build" srv/build
  mount -o remount,bind,ro srv/build
  echo "$host" >etc/hostname
  hostname "$host"
  printf "127.0.0.1 localhost\n10.74.61.1 alpha.test\n10.74.61.2 beta.test\n" >etc/hosts
  for unit in getty.target console-getty.service systemd-networkd.service; do
    ln -sf /dev/null "etc/systemd/system/$unit"
  done
  mkdir .old
  pivot_root . .old
  umount -l /.old
  exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/lib/systemd/systemd --log-target=journal'

boot() {
  local host=$1 group=$control_groups/$project-$1
  mkdir "$group"
  groups+=("$group")
  # The shell enters the group and becomes unshare, which gives the host the group as the root of all that it sees.
  setpriv --pdeathsig KILL sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" \
    unshare --net --mount --pid --uts --ipc --cgroup --fork --kill-child=KILL --propagation private \
    sh -c "$become_init" sh "$host" "$scratch" "$root/deploy" "$kvm_group" </dev/null >"$scratch/$host.log" 2>&1 {output}>&- {errors}>&- &
  keeper[$host]=$!
  until_true 30 "the systemd of $host runs" find_init "$host"
  until_true 60 "$host has booted" has_booted "$host"
}

find_init() {
  local child
  kill -0 "${keeper[$1]}" 2>/dev/null || { cat "$scratch/$1.log"; fail "$1 does not boot; see above"; }
  child=$(tr -d ' ' <"/proc/${keeper[$1]}/task/${keeper[$1]}/children")
  [ -n "$child" ] && [[ $(readlink "/proc/$child/exe") == */systemd/systemd ]] && init[$1]=$child
}

has_booted() {
  local state
  state=$(on "$1" systemctl is-system-running 2>/dev/null) || :
  [[ $state == running || $state == degraded ]]
}

# Runs a command on a host: on HOST COMMAND...
on() {
  local host=$1
  shift
  timeout -k 10 120 nsenter --target "${init[$host]}" --mount --uts --ipc --net --pid --cgroup --root --wd -- \
    env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

join() {
  ip link add name md0 netns "${init[alpha]}" type veth peer name md0 netns "${init[beta]}"
  local host
  for host in alpha beta; do
    on "$host" ip link set lo up
    on "$host" ip address add "${address[$host]}/24" dev md0
    on "$host" ip link set md0 up
  done
}

# ---- what is looked at

property() { on "$1" systemctl show --property "$2" --value "${3:-migrationd.service}"; }
is_active() { [ "$(property "$1" ActiveState)" = active ]; }
has_status() { [[ $(property "$1" StatusText) == $2 ]]; }
has_restarted() { [ "$(property "$1" NRestarts)" -gt "$2" ] && is_active "$1" && [ "$(property "$1" MainPID)" != "$3" ]; }

# The value of a key in one line of JSON in which the key is there once.
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }
guest() { on "$1" migrationd guest show "$2" --json 2>/dev/null; }
guest_is() { [ "$(guest "$1" "$2" | field state)" = "$3" ]; }
migration_is() { [ "$(on "$1" migrationd migration show "$2" --json | field state)" = "$3" ]; }
has_swept() {
  local sweeps
  sweeps=$(guest "$1" "$2" | field sweeps) && [ "${sweeps:-0}" -ge "$3" ]
}

# Lines of the daemon's journal as JSON: journal HOST MATCH...
journal() {
  local host=$1
  shift
  on "$host" journalctl --no-pager --output json --unit migrationd.service "$@"
}
has_logged() {
  local host=$1
  shift
  [ -n "$(journal "$host" "$@" 2>/dev/null)" ]
}

# Runs on the host, goes over its memory once more from the first page to the last, and finds nothing wrong.
is_well() {
  local now sweeps
  now=$(guest "$1" "$2")
  # A sweep that is under way may have begun on the other host; the one after it is of this host alone.
  sweeps=$(($(field sweeps <<<"$now") + 2))
  until_true 120 "$2 has gone over all of its memory on $1" has_swept "$1" "$2" "$sweeps"
  now=$(guest "$1" "$2")
  [ "$(field state <<<"$now") $(field corruptPages <<<"$now")" = "running 0" ] || fail "$2 is not well on $1: $now"
}

create() {
  on "$1" migrationd guest create "$2" --memory 256MiB --working-set 128MiB >/dev/null
  until_true 60 "$2 has written all of its memory" has_swept "$1" "$2" 1
}

# A drop-in for the daemon's unit: drop_in HOST FILE SETTING...
drop_in() {
  local host=$1 file=/etc/systemd/system/migrationd.service.d/$2
  shift 2
  on "$host" mkdir -p "$(dirname "$file")"
  printf '%s\n' '[Service]' "$@" | on "$host" tee "$file" >/dev/null
  on "$host" systemctl daemon-reload
}

slow() { on "$1" tc qdisc add dev md0 root tbf rate "$2" burst 128k latency 50ms; }
fast() { on "$1" tc qdisc del dev md0 root; }

# A new authority on alpha, and certificates for both hosts.
issue() {
  local host
  on alpha rm -rf /root/ca
  on alpha migrationd certs init --dir /root/ca >/dev/null
  for host in alpha beta; do
    on alpha rm -rf "/root/$host"
    on alpha migrationd certs issue "$host" --dir /root/ca --host "$host.test" --out "/root/$host" >/dev/null
  done
}
take_certificates() {
  on "$1" mkdir -p /etc/migrationd/tls
  on alpha tar -C "/root/$1" -cf - . | on "$1" tar -C /etc/migrationd/tls -xf -
  on "$1" chown -R migrationd:migrationd /etc/migrationd/tls
}

# ---- the test

[ "$(id -u)" = 0 ] || skip "root is needed, for namespaces and device nodes"
[ "${1:-}" = mounted ] || skip "this machine lets nobody make a mount namespace"
for program in debootstrap dotnet nsenter setpriv ip; do
  command -v "$program" >/dev/null || skip "$program is missing, which this test needs"
done
command -v clang >/dev/null || command -v gcc >/dev/null || skip "clang and gcc are missing, one of which links native code"
for device in userfaultfd kvm; do
  [ -c "/dev/$device" ] || skip "this machine has no /dev/$device"
done
control_groups=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET) || skip "no cgroup2 is mounted here; systemd needs it"

# In memory: thousands of small files, which nobody needs afterwards.
mount -t tmpfs -o mode=700 tmpfs "$scratch"
export root scratch
export -f make_tree make_build
beside 600 make_tree
beside 600 make_build
wait "${jobs[0]}" || fail "debootstrap failed; see above"
wait "${jobs[1]}" || fail "there is no program to install; see above"
jobs=()
kvm_group=$(awk -F: '$1 == "kvm" { print $3 }' "$scratch/tree/etc/group")
[ -n "$kvm_group" ] || fail "there is no group kvm in the tree"
say "a tree of $(. "$scratch/tree/etc/os-release" && echo "$PRETTY_NAME") and a build of migrationd are made"

boot alpha
boot beta
join
say "both hosts have booted: $(on alpha systemctl --version | sed -n 1p)"

# Nothing is touched when something is wrong.
if said=$(on alpha /srv/deploy/install.sh /srv/deploy 2>&1); then fail "install.sh takes a directory without a program: $said"; fi
[ -z "$(on alpha find /usr/local /etc/migrationd -name '*migrationd*' 2>/dev/null)" ] || fail "install.sh has left something: $said"
for host in alpha beta; do
  said=$(on "$host" /srv/deploy/install.sh /srv/build 2>&1) || fail "install.sh on $host: $said"
  grep -q '^Guests can migrate from and to this host' <<<"$said" || fail "doctor on $host: $said"
  ! grep -q '^missing' <<<"$said" || fail "doctor on $host: $said"
done
files() { on alpha find /usr/local /etc/migrationd -printf '%p %m %U:%G %s\n' | sort; }
once=$(files)
on alpha /srv/deploy/install.sh /srv/build >/dev/null
[ "$(files)" = "$once" ] || fail "installed twice is not installed once: $(diff <(echo "$once") <(files))"
say "migrationd is installed on both: $(on alpha migrationd --version)"

# The two units are one, but for what an instance has of its own.
instance=$(sed -e '/^#/d' -e '/^AssertPathExists=/d' -e '/^Environment=MIGRATIOND_CONTROL=/d' -e 's| --config /etc/migrationd/%i.json$||' \
  -e 's/-%i$//' -e 's/ (%i)$//' "$here/migrationd@.service")
[ "$instance" = "$(sed '/^#/d' "$here/migrationd.service")" ] || fail "migrationd@.service is not what migrationd.service is"
units=/usr/local/lib/systemd/system
for unit in migrationd.service migrationd@.service; do
  # Of a template an instance is verified.
  said=$(on alpha systemd-analyze verify --man=no "$units/${unit/@/@db}" 2>&1) && [ -z "$said" ] \
    || fail "systemd-analyze verify $unit: $said"
  said=$(on alpha systemd-analyze security --offline=true --no-pager --threshold=20 "$units/$unit") \
    || fail "more than 2.0 of $unit is exposed: $said"
  exposure=$(sed -n 's/.*Overall exposure level for .*: \([0-9.]*\).*/\1/p' <<<"$said")
  echo "Figure: systemd exposure of $unit $exposure"
done
on alpha udevadm verify --no-summary /usr/local/lib/udev/rules.d/60-migrationd.rules

issue
for host in alpha beta; do
  take_certificates "$host"
  on "$host" sed -i -e "s|\"127.0.0.1:7461\"|\"${address[$host]}:7461\"|" -e "s|\"127.0.0.1:7462\"|\"${address[$host]}:7462\"|" \
    -e 's|"tls": ""|"tls": "/etc/migrationd/tls"|' /etc/migrationd/migrationd.json
  on "$host" systemctl enable --quiet --now migrationd.service
  is_active "$host" || fail "$host: the daemon is not active after its start"
  until_true 60 "systemd knows what $host does" has_status "$host" 'no guests'
  status=$(on "$host" sh -c "cat /proc/$(property "$host" MainPID)/status")
  for expected in 'CapPrm:0000000000000000' 'CapBnd:0000000000000000' 'CapAmb:0000000000000000' 'NoNewPrivs:1' 'Seccomp:2'; do
    grep -qx "$expected" <<<"$(tr -d ' \t' <<<"$status")" || fail "$host: $expected is not in its /proc/PID/status"
  done
  ! grep -q '^Uid:[[:space:]]*0' <<<"$status" || fail "$host: the daemon is root"
  on "$host" migrationd health >/dev/null || fail "$host is not well"
done
as_nobody() { on alpha setpriv --reuid nobody --regid nogroup "$@" migrationd guest list; }
as_nobody --groups migrationd >/dev/null || fail "a member of the group migrationd cannot give orders"
if said=$(as_nobody --clear-groups 2>&1); then fail "anybody may give orders: $said"; fi
say "both daemons are active and well, without a capability"

# ---- there, with what systemd and the journal say of it

create alpha web
until_true 60 "systemd knows of the guest" has_status alpha '1 guest running'
# Twenty seconds of pages, so that both hosts are seen before they are over, on a busy machine too.
slow alpha 50mbit
id=$(on alpha migrationd migrate web --to beta.test:7461 --mode postcopy --detach --json | field id)
until_true 60 "systemd knows of the migration" has_status alpha '*web is on its way to beta.test:7461, * %'
until_true 60 "systemd knows of the guest that comes" has_status beta '1 guest running; web comes from *, * %'
said=$(on beta systemctl status --no-pager migrationd.service)
grep -q 'Status: "1 guest running; web comes from' <<<"$said" || fail "systemctl status says nothing of the guest: $said"
say "systemd says of alpha: $(property alpha StatusText)"
fast alpha
until_true 120 "the migration ends" migration_is alpha "$id" completed
is_well beta web
guest_is alpha web migrated || fail "web is on both hosts"
say "web has been moved to beta and is well"

until_true 60 "the journal knows of the guest" has_logged alpha MIGRATIOND_EVENT=GuestCreated MIGRATIOND_GUEST=web
line=$(journal alpha MIGRATIOND_EVENT=GuestCreated MIGRATIOND_GUEST=web)
for expected in '"PRIORITY":"6"' '"SYSLOG_IDENTIFIER":"migrationd"' '"MIGRATIOND_NODE":"alpha"' '"_TRANSPORT":"journal"' \
  '"MIGRATIOND_MEMORY_BYTES":"268435456"' '"_SYSTEMD_UNIT":"migrationd.service"' '"MESSAGE":"Guest web created'; do
  grep -qF "$expected" <<<"$line" || fail "$expected is not in the journal's line: $line"
done
until_true 60 "the journal of beta knows of migration $id" has_logged beta "MIGRATIOND_MIGRATION=$id" MIGRATIOND_GUEST=web
say "the journal has priorities and fields"

# ---- certificates, while it runs

before=$(property alpha MainPID)-$(property beta MainPID)
issue
take_certificates alpha
take_certificates beta
on beta systemctl reload migrationd.service
until_true 60 "beta says that it has read its certificates anew" has_logged beta MIGRATIOND_EVENT=Reloaded
if said=$(on beta migrationd migrate web --to alpha.test:7461 2>&1); then
  fail "alpha still has the old authority, and takes a guest of the new one's: $said"
fi
guest_is beta web running || fail "web does not run on beta after a refused migration: $(guest beta web)"
on alpha systemctl reload migrationd.service
on beta migrationd migrate web --to alpha.test:7461 >/dev/null || fail "the new certificates are not in force on alpha"
[ "$(property alpha MainPID)-$(property beta MainPID)" = "$before" ] || fail "a reload has restarted a daemon"
on alpha rm /etc/migrationd/tls/ca-cert.pem
on alpha systemctl reload migrationd.service
until_true 60 "alpha says that its certificates are wrong" has_logged alpha MIGRATIOND_EVENT=ReloadRefused PRIORITY=3
is_active alpha || fail "wrong certificates have ended alpha"
take_certificates alpha
on alpha systemctl reload migrationd.service
is_well alpha web
say "certificates of a new authority are in force, by reload and without a restart"

# ---- stop, while a guest is on its way

# Far less than the daemon's own --stop-timeout: it asks for the time that it needs.
drop_in alpha stop.conf TimeoutStopSec=2
# Half a minute of pages, so that all of this is over before they are, on a busy machine too.
slow alpha 50mbit
id=$(on alpha migrationd migrate web --to beta.test:7461 --mode postcopy --detach --json | field id)
until_true 60 "the guest runs on beta" migration_is alpha "$id" postcopy-active
on alpha systemctl stop migrationd.service &
jobs+=($!)
stopping=$!
until_true 30 "alpha stops" has_status alpha 'stopping: *web is on its way*'
since=$SECONDS
longer() { [ "$SECONDS" -ge $((since + 4)) ]; }
until_true 10 "TimeoutStopSec is over" longer
migration_is alpha "$id" postcopy-active || fail "the migration is $(on alpha migrationd migration show "$id")"
fast alpha
wait "$stopping" || fail "systemctl stop failed"
[ "$(property alpha ActiveState) $(property alpha Result)" = "inactive success" ] || fail "alpha is $(property alpha ActiveState)"
until_true 60 "alpha says how the migration ended" has_logged alpha "MIGRATIOND_MIGRATION=$id" MIGRATIOND_STATE=Completed
! has_logged alpha MIGRATIOND_EVENT=MigrationEndsWithDaemon || fail "alpha has not waited for the migration"
is_well beta web
on alpha systemctl start migrationd.service
! guest_is alpha web running || fail "web runs on both hosts"
say "systemctl stop has waited for the migration: web runs on beta, and there alone"

# ---- a daemon that is killed

process=$(property beta MainPID)
restarts=$(property beta NRestarts)
on beta systemctl kill --kill-whom=main --signal=KILL migrationd.service
until_true 60 "beta is started again" has_restarted beta "$restarts" "$process"
is_lost() { [ "$(guest beta web | field state)" = failed ]; }
until_true 60 "web is reported as lost" is_lost
said=$(on beta migrationd guest show web)
grep -qi 'daemon' <<<"$said" || fail "guest show does not say why web is lost: $said"
grep -q '^web .*failed' <<<"$(on beta migrationd guest list)" || fail "guest list says: $(on beta migrationd guest list)"
say "killed, started again, and web is reported as lost"
on beta migrationd guest delete web >/dev/null

# ---- a daemon that hangs

drop_in beta watchdog.conf WatchdogSec=6
on beta systemctl restart migrationd.service
process=$(property beta MainPID)
restarts=$(property beta NRestarts)
# Longer than the watchdog waits: the daemon keeps it content.
kept() { [ "$(property beta WatchdogTimestampMonotonic)" -gt "$(($(property beta ExecMainStartTimestampMonotonic) + 8000000))" ]; }
until_true 30 "the watchdog has heard of beta after more than its time" kept
[ "$(property beta NRestarts) $(property beta MainPID)" = "$restarts $process" ] || fail "the watchdog has ended a daemon that is well"
on beta systemctl kill --kill-whom=main --signal=STOP migrationd.service
until_true 60 "the hung daemon is ended and started again" has_restarted beta "$restarts" "$process"
by_watchdog() { [[ $(on beta journalctl --no-pager --output cat UNIT=migrationd.service) == *'Watchdog timeout'* ]]; }
until_true 60 "systemd says that it was the watchdog" by_watchdog
on beta migrationd health >/dev/null || fail "beta is not well after its restart"
process=$(property beta MainPID)
restarts=$(property beta NRestarts)
# All its threads run, and nobody reaches it.
on beta rm /run/migrationd/control.sock
until_true 60 "a daemon that nobody reaches is ended and started again" has_restarted beta "$restarts" "$process"
until_true 60 "beta says why" has_logged beta MIGRATIOND_EVENT=OwnCallUnanswered PRIORITY=3
on beta migrationd health >/dev/null || fail "beta is not well after its second restart"
say "a daemon that hangs, or that nobody reaches, is ended by the watchdog and started again"

# ---- a daemon of its own for a guest

echo '{ "node": "alpha-db", "listen": "nowhere" }' | on alpha tee /etc/migrationd/db.json >/dev/null
if said=$(on alpha systemctl start migrationd@db.service 2>&1); then fail "an instance starts with a configuration that is wrong"; fi
[ "$(property alpha ActiveState migrationd@db.service) $(property alpha NRestarts migrationd@db.service)" = "failed 0" ] \
  || fail "an instance with a configuration that is wrong is tried again"
says_wrong() { [[ $(on alpha journalctl --no-pager --unit migrationd@db.service --priority err --output cat) == *listen*nowhere* ]]; }
until_true 60 "the journal says what is wrong with the configuration" says_wrong
echo '{ "node": "alpha-db", "listen": "127.0.0.1:7471", "lanes": "127.0.0.1:7472" }' | on alpha tee /etc/migrationd/db.json >/dev/null
on alpha systemctl start migrationd@db.service
on alpha migrationd health --control /run/migrationd-db/control.sock >/dev/null || fail "the instance db is not well"
on alpha systemctl stop migrationd.service
grep -q alpha-db <<<"$(on alpha migrationd node --control /run/migrationd-db/control.sock)" || fail "an instance ended with the other daemon"
if said=$(on alpha systemctl start migrationd@none.service 2>&1); then fail "an instance without a configuration starts"; fi
say "an instance has a daemon of its own"

# ---- away

if said=$(on alpha /srv/deploy/install.sh --uninstall 2>&1); then fail "--uninstall takes a running daemon away"; fi
grep -q 'migrationd@db.service runs' <<<"$said" || fail "--uninstall of a running daemon says: $said"
on alpha systemctl stop migrationd@db.service
on alpha /srv/deploy/install.sh --uninstall >/dev/null
[ -z "$(on alpha find /usr/local -name '*migrationd*')" ] || fail "--uninstall leaves $(on alpha find /usr/local -name '*migrationd*')"
on alpha test -e /etc/migrationd/migrationd.json -a -d /var/lib/migrationd || fail "--uninstall takes the configuration and the state"
on beta systemctl stop migrationd.service
on beta /srv/deploy/install.sh --uninstall --purge >/dev/null
said=$(on beta sh -c 'find / -xdev -name "*migrationd*" -not -path "/proc/*"; getent passwd migrationd; getent group migrationd' || :)
[ -z "$said" ] || fail "--purge leaves $said"
[ "$(on beta systemctl show --property LoadState --value migrationd.service)" = not-found ] || fail "--purge leaves the unit"
reason="two hosts in $SECONDS s: installed, moved there and back, reloaded, stopped, killed, hung, and removed; exposure $exposure"
