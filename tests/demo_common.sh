# shellcheck shell=bash
# What the tests of the demos share. Sourced by them with the program to test
# as $1: makes a scratch directory, which is gone at the end, and goes there.
# shellcheck disable=SC2015

set -u
export LC_ALL=C

program=$(readlink -f "${1:?usage: ${0##*/} PROGRAM}")
# shellcheck disable=SC2034  # used where this is sourced
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
called=${program##*/}
room=$(mktemp -d) || exit 1
trap 'rm -rf "$room"' EXIT
cd "$room" || exit 1
failures=0
runs=0

# fail WORDS: one more failure, with what is in ./out and ./err.
fail() {
  echo "FAILED: $*"
  sed 's/^/  out| /' out 2>/dev/null | head -n 40
  sed 's/^/  err| /' err 2>/dev/null
  failures=$((failures + 1))
}

# status WANT ARGUMENTS...: the exit status, output in ./out and ./err.
status() {
  local want=$1 got
  shift
  runs=$((runs + 1))
  timeout "${limit:-0}" "$program" "$@" >out 2>err </dev/null
  got=$?
  [ "$got" != "$want" ] || return 0
  fail "status $got, not $want: $called $*"
  return 1
}

# complains STATUS WORDS ARGUMENTS...: that exit status before long, and one
# line on stderr with the program's name in front and WORDS.
complains() {
  local want=$1 words=$2
  shift 2
  limit=30 status "$want" "$@" || return
  [ "$(wc -l <err)" = 1 ] || fail "not one line: $called $*"
  grep -q "^$called: " err || fail "no name in front: $called $*"
  grep -qF -- "$words" err || fail "\"$words\" isn't said: $called $*"
}

# refuses WORDS ARGUMENTS...: the same with the status for bad input.
refuses() {
  complains 2 "$@"
}

# full_disk ARGUMENTS...: what cannot be printed is an error, in one line.
full_disk() {
  [ -c /dev/full ] || return 0
  runs=$((runs + 1))
  "$program" "$@" >/dev/full 2>err
  [ $? = 2 ] && [ "$(wc -l <err)" = 1 ] ||
    fail "a full disk goes unnoticed: $called $*"
}

# without_gnuplot ARGUMENTS...: it works all the same, and says what is missing.
without_gnuplot() {
  local tool
  runs=$((runs + 1))
  mkdir bin && for tool in sh env; do ln -s "$(command -v $tool)" bin/; done
  PATH=$room/bin "$program" "$@" >out 2>err || fail "it needs gnuplot"
  grep -q 'gnuplot is not installed' out ||
    fail "not said that gnuplot is missing"
}

# The verdict, for the last line of a test.
finish() {
  echo "${0##*/}: $runs checked runs, $failures failures"
  [ "$failures" = 0 ]
}
