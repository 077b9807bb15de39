#!/usr/bin/env bash
# Puts a build of migrationd in place on a host with systemd 253 or newer (Debian 13, Fedora 40, Ubuntu 24.04), and takes it away again.
# The build is a directory with the program in it; made here or on another host, which has the .NET SDK, by:
#
#   deploy/native.sh BUILD
#   deploy/install.sh [--prefix DIR] BUILD
#   deploy/install.sh [--prefix DIR] --uninstall [--purge]
#
# Looks at everything before it touches anything, starts and stops no daemon, and can be run again. At the end 'migrationd doctor' says, as
# the daemon's user, whether guests can migrate to this host; its exit code is this script's.
#
#   PREFIX (default /usr/local)       bin/migrationd, libexec/migrationd, share/man/man1/migrationd.1
#   /usr/local/lib                    systemd/system, sysusers.d, udev/rules.d, modules-load.d: systemd looks there whatever PREFIX is
#   /etc/migrationd                   migrationd.json, unless there is one. --uninstall leaves it, and /var/lib/migrationd; --purge does not
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
prefix=/usr/local
uninstall=no
purge=no
build=

die() { echo "install.sh: $*" >&2; exit 1; }
usage() { sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; }
argument() { echo "install.sh: $*; see: $0 --help" >&2; exit 2; }

while [ $# -gt 0 ]; do
  case $1 in
    --prefix) [ $# -ge 2 ] || argument "--prefix needs a directory"; prefix=$2; shift ;;
    --uninstall) uninstall=yes ;;
    --purge) purge=yes ;;
    -h | --help) usage; exit 0 ;;
    -*) argument "there is no option $1" ;;
    *) [ -z "$build" ] || argument "there is one build to install, and $1 is another"; build=$1 ;;
  esac
  shift
done
[[ $prefix == /* && $prefix =~ ^[A-Za-z0-9/._-]+$ ]] || argument "--prefix $prefix is no absolute path of plain characters"
prefix=${prefix%/}
[ "$purge" = no ] || [ "$uninstall" = yes ] || argument "--purge goes with --uninstall"
if [ "$uninstall" = yes ]; then
  [ -z "$build" ] || argument "--uninstall takes no build"
else
  [ -n "$build" ] || argument "say which build is to be installed: the directory that deploy/native.sh was given"
fi

program=$prefix/libexec/migrationd
command=$prefix/bin/migrationd
manual=$prefix/share/man/man1/migrationd.1
units=/usr/local/lib/systemd/system
# What comes from the tree as it is, and where it goes.
declare -A files=(
  [sysusers.d/migrationd.conf]=/usr/local/lib/sysusers.d/migrationd.conf
  [udev/60-migrationd.rules]=/usr/local/lib/udev/rules.d/60-migrationd.rules
  [modules-load.d/migrationd.conf]=/usr/local/lib/modules-load.d/migrationd.conf
  [man/migrationd.1]=$manual
)

# ---- what has to hold

[ "$(id -u)" = 0 ] || die "run this as root: sudo $0"
for needed in systemctl systemd-sysusers udevadm install setpriv sed diff; do
  command -v "$needed" >/dev/null || die "$needed is missing; it belongs to systemd, util-linux, coreutils, sed or diffutils"
done
[ -d /run/systemd/system ] || die "systemd does not run this host, and the daemon is to be its service"
version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
[ "${version:-0}" -ge 253 ] || die "systemd ${version:-?} is too old for Type=notify-reload; 253 or newer is needed"
running=$(
  systemctl list-units --plain --no-legend --state=active,activating,reloading,deactivating migrationd.service 'migrationd@*.service' \
    | sed 's/ .*//' | tr '\n' ' '
)

refuse_while_running() {
  [ -z "$running" ] || die "${running% } runs, and its guests would end with it; move them away, then: systemctl stop ${running% }"
}

# ---- away

if [ "$uninstall" = yes ]; then
  refuse_while_running
  systemctl disable --quiet migrationd.service 2>/dev/null || :
  for link in /etc/systemd/system/*.wants/migrationd@*.service; do
    [ ! -L "$link" ] || systemctl disable --quiet "$(basename "$link")"
  done
  rm -rf "$program" "$program.new" "$program.old"
  rm -f "$command" "$units/migrationd.service" "$units/migrationd@.service" "${files[@]}"
  systemctl daemon-reload
  systemctl reset-failed 'migrationd.service' 'migrationd@*.service' 2>/dev/null || :
  udevadm control --reload 2>/dev/null || :
  if [ "$purge" = yes ]; then
    rm -rf /etc/migrationd /var/lib/migrationd /var/lib/migrationd-*
    rm -rf /etc/systemd/system/migrationd.service.d /etc/systemd/system/migrationd@*.service.d
    systemctl daemon-reload
    if getent passwd migrationd >/dev/null; then userdel migrationd; fi
    if getent group migrationd >/dev/null; then groupdel migrationd; fi
    echo "migrationd is gone, with its configuration, its state and its user"
  else
    echo "migrationd is gone; /etc/migrationd, /var/lib/migrationd and the user migrationd are left (--purge takes them as well)"
  fi
  exit 0
fi

# ---- there

[ -d "$build" ] || die "$build is no directory; 'deploy/native.sh $build' makes it"
build=$(cd "$build" && pwd -P)
[ -x "$build/migrationd" ] || die "$build is no build: there is no program migrationd in it"
said=$("$build/migrationd" --version 2>&1) || die "the build in $build does not run on this host: $said"
for file in migrationd.json systemd/migrationd.service systemd/migrationd@.service "${!files[@]}"; do
  [ -r "$here/$file" ] || die "$here/$file is missing; run this script where it is in the tree"
done
[[ $build/ != "$program"/* ]] || die "$build is where the program is to be installed"
same=no
if [ -d "$program" ] && diff -rq "$build" "$program" >/dev/null 2>&1; then same=yes; else refuse_while_running; fi

if [ "$same" = no ]; then
  install -d "$prefix/libexec" "$prefix/bin"
  rm -rf "$program.new" "$program.old"
  cp -R "$build" "$program.new"
  chown -R root:root "$program.new"
  chmod -R u=rwX,go=rX "$program.new"
  [ ! -d "$program" ] || mv "$program" "$program.old"
  mv "$program.new" "$program"
  rm -rf "$program.old"
fi
ln -sfn ../libexec/migrationd/migrationd "$command"
for file in "${!files[@]}"; do
  install -D -m 644 "$here/$file" "${files[$file]}"
done
# The other processor's module would be a failure at each start of the host.
case " $(sed -n '/^flags/{s/^.*://p;q}' /proc/cpuinfo) " in
  *' vmx '*) module=kvm_intel ;;
  *' svm '*) module=kvm_amd ;;
  *) module=kvm ;;
esac
sed -i "s/^kvm\$/$module/" "${files[modules-load.d/migrationd.conf]}"
install -d "$units"
for unit in migrationd.service migrationd@.service; do
  sed "s|^ExecStart=/usr/local/bin/|ExecStart=$prefix/bin/|" "$here/systemd/$unit" >"$units/$unit.new"
  chmod 644 "$units/$unit.new"
  mv "$units/$unit.new" "$units/$unit"
done
# Where SELinux is on, what has been copied has the labels of where it came from.
if command -v restorecon >/dev/null; then
  restorecon -RF "$program" "$command" "$units/migrationd.service" "$units/migrationd@.service" "${files[@]}"
fi

systemd-sysusers "${files[sysusers.d/migrationd.conf]}"
[ -d /etc/migrationd ] || install -d -m 750 -g migrationd /etc/migrationd
# With every option at its default; one that is there is the operator's.
[ -e /etc/migrationd/migrationd.json ] || install -m 640 -g migrationd "$here/migrationd.json" /etc/migrationd/migrationd.json
# Without udev, in a container, the device nodes are what whoever made the container has made them.
if udevadm control --reload 2>/dev/null; then
  udevadm trigger --settle /dev/userfaultfd 2>/dev/null || :
fi
[ -e /dev/kvm ] || /usr/lib/systemd/systemd-modules-load "${files[modules-load.d/migrationd.conf]}" || :
systemctl daemon-reload

echo "migrationd $said is installed, with its units migrationd.service and migrationd@.service"
echo "  to configure:    /etc/migrationd/migrationd.json (every option is in it)"
echo "  to start:        systemctl enable --now migrationd"
echo "  to give orders:  as root, or as a member of the group migrationd (usermod -aG migrationd USER)"
echo
# As the unit runs it: its user, its groups, no capabilities, its limits as far as this shell may set them.
ulimit -l unlimited 2>/dev/null || :
ulimit -r 1 2>/dev/null || :
ulimit -e 35 2>/dev/null || :
groups=migrationd
if getent group kvm >/dev/null; then groups+=,kvm; fi
cd /
exec env DOTNET_EnableDiagnostics=0 \
  setpriv --reuid migrationd --regid migrationd --groups "$groups" --inh-caps=-all --bounding-set=-all --no-new-privs "$command" doctor
