# shellcheck shell=bash
# What demos/run and tests/run share: finding or installing what the project
# needs, configuring and compiling a build directory, one line per stage.
# Sourced by both after they have set `root`, the project's directory.

export LANG=C.UTF-8 LC_ALL=C.UTF-8

MESON_OLDEST=1.0.1

# What makes matrix products fast here: libxsmm knows x86-64 only.
case $(uname -m) in
  x86_64) products=libxsmm-dev ;;
  *) products=libopenblas-dev ;;
esac
logs=${root:?}/build

say() { printf '%s\n' "$*"; }

# Exit status 3 says "could not start", as opposed to 1, "something failed".
die() { say "$*" >&2; exit 3; }

show_tail() { tail -n 60 "$1" | sed 's/^/  | /'; }

# quietly LABEL LOG COMMAND...: one line on success, the log's end on failure.
quietly() {
  local label=$1 log=$2 start=$SECONDS status
  shift 2
  printf '%s ... ' "$label"
  "$@" >"$log" 2>&1 </dev/null
  status=$?
  if [ "$status" = 0 ]; then
    say "ok ($((SECONDS - start)) s)"
  else
    say "FAILED (exit status $status); the end of $log:"
    show_tail "$log"
  fi
  return "$status"
}

# ---- what is there ----

version_ok() {
  [ "$(printf '%s\n' "$MESON_OLDEST" "$1" | sort -V | head -n 1)" = \
    "$MESON_OLDEST" ]
}

# A meson found first on PATH may be too old or a shim that leads nowhere.
find_meson() {
  local candidate version
  for candidate in "${MESON:-meson}" /usr/bin/meson; do
    version=$("$candidate" --version 2>/dev/null) || continue
    version_ok "$version" || continue
    meson=$candidate
    export MESON=$candidate
    return 0
  done
  return 1
}

find_ninja() {
  local candidate
  for candidate in "${NINJA:-ninja}" ninja-build samu; do
    "$candidate" --version >/dev/null 2>&1 && return 0
  done
  return 1
}

find_compiler() {
  local candidate
  for candidate in "$@"; do
    command -v "$candidate" >/dev/null && return 0
  done
  return 1
}

has_libc_headers() {
  local candidate
  for candidate in cc gcc clang; do
    printf '#include <stdio.h>\n' | "$candidate" -E -x c - >/dev/null 2>&1 &&
      return 0
  done
  return 1
}

has_module() { pkg-config --exists "$1" 2>/dev/null; }

# present PACKAGE: whether what this Debian package brings is there, however
# it came to be there.
present() {
  case $1 in
    gcc) find_compiler cc gcc clang ;;
    g++) find_compiler c++ g++ clang++ ;;
    libc6-dev) has_libc_headers ;;
    meson) find_meson ;;
    ninja-build) find_ninja ;;
    pkg-config) command -v pkg-config >/dev/null ;;
    check) has_module check ;;
    libxsmm-dev) has_module libxsmm && has_module libxsmmnoblas ;;
    libopenblas-dev) has_module openblas ;;
    libjansson-dev) has_module 'jansson >= 2.7' ;;
    liblapacke-dev) has_module lapacke ;;
    gnuplot-nox) command -v gnuplot >/dev/null ;;
    graphviz) command -v dot >/dev/null ;;
    fortunes) [ -r /usr/share/games/fortunes/computers ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

describe() {
  case $1 in
    gcc) say "a C11 compiler, such as gcc" ;;
    g++) say "a C++ compiler, such as g++" ;;
    libc6-dev) say "the C library's headers" ;;
    meson) say "Meson $MESON_OLDEST or newer" ;;
    ninja-build) say "Ninja" ;;
    check) say "Check, the unit test framework for C" ;;
    libxsmm-dev) say "libxsmm with its headers (optional: speed)" ;;
    libopenblas-dev) say "OpenBLAS with its headers (optional: speed)" ;;
    libjansson-dev) say "Jansson 2.7 or newer with its headers (model files)" ;;
    liblapacke-dev) say "LAPACKE with its headers (optional: spectra)" ;;
    gnuplot-nox) say "gnuplot (optional: pictures)" ;;
    graphviz) say "Graphviz (optional: pictures)" ;;
    fortunes) say "the text files of fortune, or name text files yourself" ;;
    *) say "$1" ;;
  esac
}

# The packages among the arguments that are still to be had.
missing_of() {
  local package
  for package in "$@"; do
    present "$package" || printf '%s ' "$package"
  done
}

# ---- getting the rest through apt ----

# With nobody to ask, sudo must do without a password or fail at once.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif [ -t 0 ]; then sudo "$@"
  else sudo -n "$@"
  fi
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a LC_ALL=C \
    apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 \
    -o Acquire::Retries=3 "$@"
}

# Mirrors hiccup. A failed update alone is no reason to stop: it may concern
# a source that has nothing to do with us; the install decides.
apt_install() {
  local try
  for try in 1 2 3; do
    [ "$try" = 1 ] || sleep $((try * 5))
    apt_get -o APT::Update::Error-Mode=any update
    apt_get install --no-install-recommends "$@" && return 0
  done
  return 1
}

can_install() {
  command -v apt-get >/dev/null || return 1
  [ "$(id -u)" != 0 ] || return 0
  command -v sudo >/dev/null || return 1
  [ -t 0 ] || sudo -n true 2>/dev/null
}

install_by_apt() {
  local label="installing through apt: $*" start=$SECONDS
  printf '%s ... ' "$label"
  if apt_install "$@" >"$logs/setup.log" 2>&1; then
    say "ok ($((SECONDS - start)) s)"
    return 0
  fi
  say "FAILED; the end of $logs/setup.log:"
  show_tail "$logs/setup.log"
  return 1
}

explain_missing() {
  local package
  if command -v apt-get >/dev/null; then
    say "Not installed. Run this as root, then run me again:"
    say "  apt-get install $*"
    return
  fi
  say "No apt here to install with. Please install, then run me again:"
  for package in "$@"; do
    say "  - $(describe "$package")"
  done
}

# set_up "REQUIRED PACKAGES" "OPTIONAL PACKAGES": stops the run when something
# required can't be had, says so when something optional can't.
set_up() {
  local required=() optional=() missing=()
  read -r -a required <<<"$1"
  read -r -a optional <<<"$2"
  mkdir -p "$logs" 2>/dev/null
  [ -w "$logs" ] ||
    die "$logs can't be written by you: remove it, or change its owner"

  read -r -a missing <<<"$(missing_of "${required[@]}" "${optional[@]}")"
  if [ ${#missing[@]} -gt 0 ] && can_install; then
    install_by_apt "${missing[@]}"
    hash -r
  fi
  read -r -a missing <<<"$(missing_of "${required[@]}")"
  if [ ${#missing[@]} -gt 0 ]; then
    explain_missing "${missing[@]}" >&2
    exit 3
  fi
  find_meson
  read -r -a missing <<<"$(missing_of "${optional[@]}")"
  [ ${#missing[@]} = 0 ] || say "going on without: ${missing[*]}"
}

# ---- building ----

# A directory that another Meson made can't be reconfigured. Only Meson's own
# records are dropped then: logs and outputs under build/ stay.
configure() {
  local dir=$1
  shift
  if [ -e "$dir/meson-private/coredata.dat" ]; then
    "$meson" setup --reconfigure "$@" "$dir" "$root" && return 0
    rm -rf "$dir/meson-private" "$dir/meson-info" "$dir/build.ninja"
  fi
  "$meson" setup "$@" "$dir" "$root"
}

targets=() # what to build; empty: everything

# build_in LABEL DIR MESON_OPTIONS...
build_in() {
  local label=$1 dir=$2 name
  shift 2
  name=$(basename "$dir")
  quietly "configuring $label" "$logs/$name-setup.log" \
    configure "$dir" "$@" &&
    quietly "compiling $label" "$logs/$name-compile.log" \
      "$meson" compile -C "$dir" "${targets[@]}"
}
