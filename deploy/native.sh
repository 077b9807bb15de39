#!/usr/bin/env bash
# Makes the program that is shipped: migrationd as native code, which needs no .NET on its host. Needs the .NET 10 SDK, the package
# registry, and gcc or clang (Debian: gcc libc6-dev).
#
#   deploy/native.sh [FOLDER]
#
# Prints the path of the program; with FOLDER, of a copy in there. It is compiled once for one state of the sources and one SDK: who asks
# meanwhile waits, and who asks later has it at once. It is kept in artifacts/native of the tree, or where MIGRATIOND_NATIVE says.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${MIGRATIOND_NATIVE:-$root/artifacts/native}
platform=linux-x64

die() { echo "native.sh: $*" >&2; exit 1; }
case ${1:-} in
  -h | --help) sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
  -*) echo "native.sh: there is no option $1; see: $0 --help" >&2; exit 2 ;;
esac
[ $# -le 1 ] || { echo "native.sh: there is one folder to copy the program to, and $2 is another; see: $0 --help" >&2; exit 2; }

# What it is made of: every source by its path and its content, and the compiler.
stamp() {
  local said
  said=$(cd "$root" && dotnet --version) || die "dotnet --version: $said; install the .NET 10 SDK"
  (
    cd "$root"
    echo "$platform $said"
    find .editorconfig Directory.Build.props Directory.Packages.props global.json protos src deploy/native.sh \
      \( -name bin -o -name obj \) -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  ) | sha256sum | sed 's/ .*//'
}

# What a 'dotnet test' around this has set for its own build engine and test host.
for variable in $(compgen -e | grep -E '^(_?MSBUILD|VSTEST|DOTNET_HOST_PATH$)' || :); do unset "$variable"; done

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
{ [ -w "$cache" ] && { [ ! -e "$cache/lock" ] || [ -w "$cache/lock" ]; }; } ||
  die "$cache belongs to $(stat -c %U "$cache"), who made the program here before; remove it, or say another place by MIGRATIOND_NATIVE"
exec {lock}>"$cache/lock"
flock "$lock"
stamp=$(stamp)
if [ "$(cat "$cache/stamp" 2>/dev/null)" != "$stamp" ]; then
  rm -rf "$cache/stamp" "$cache/new"
  # With folders of its own for all that is built: publishing for a platform would leave the working tree restored for it. No process of the
  # build outlives it, as it would hold the lock.
  log=$cache/publish.log
  (
    cd "$root"
    MSBUILDDISABLENODEREUSE=1 dotnet publish src/Daemon -c Release -r "$platform" --artifacts-path "$cache/build" -o "$cache/new" \
      -p:UseSharedCompilation=false {lock}>&- || exit
  ) >"$log" 2>&1 || { tail -n 40 "$log" >&2; die "dotnet publish failed; see above, and all of it in $log"; }
  rm -rf "$cache/program"
  mv "$cache/new" "$cache/program"
  echo "$stamp" >"$cache/stamp"
fi

program=$cache/program
if [ -n "${1:-}" ]; then
  mkdir -p "$1"
  # One that runs from there goes on with what it has.
  cp -R --remove-destination "$program/." "$1"
  program=$(cd "$1" && pwd)
fi
echo "$program/migrationd"
