#!/usr/bin/env bash
# The program graph from outside: values, derivatives, drawings, and one clear
# line for each thing that is wrong.
#   demo_graph.sh PROGRAM

# shellcheck source=tests/demo_common.sh
. "$(dirname "$0")/demo_common.sh"

# value WANT ARGUMENTS...: the first line ends in "= WANT".
value() {
  local want=$1
  shift
  status 0 "$@" || return
  [ ! -s err ] || fail "stderr isn't empty: graph $*"
  [ "$(head -n 1 out | sed 's/.* = //')" = "$want" ] ||
    fail "the value isn't $want: graph $*"
}

# row NAME FIGURES: a row of the last table, without the spaces between.
row() {
  [ " $2" = "$(awk -v name="$1" '
    NR > 2 && $1 == name { $1 = ""; print }' out)" ] ||
    fail "the row of $1 isn't $2"
}

value -0.2913126125 'tanh(w*x + b)' x=0.5 w=-1.2 b=0.3
row w '-1.2 0.45756848 0.13329547 0.59522783 0.26659094'
row x '0.5 -1.0981644 0.59522783 0.7677819 -0.63981825'
row b '0.3 0.91513696 0.26659094 -0.63981825 0.53318188'

# precedence and association
value 7 '1 + 2*3'
value 9 '(1+2) * 3'
value -4 '10 - 8 - 6'
value 0.5 '4/2/4'
value 512 '2^3^2'
value -9 -- '-3^2'
value 0.125 '2^-3'
value 5 '2 - -3'
value 1250 '1.25e3'
value 0.15 '.15'
for f in 'exp(0)=1' 'log(1)=0' 'sqrt(6.25)=2.5' 'square(1.5)=2.25' \
  'tanh(0)=0' 'sigmoid(0)=0.5' 'relu(-3)=0'; do
  value "${f#*=}" "${f%=*}"
done

# x x: one variable; what it does not depend on; a power of a negative number
value 6.25 'a*a' a=2.5
row a '2.5 5 2'
value 3 'a + 0*b' a=3 b=7
row a '3 1 0 0'
row b '7 0 0 0'
value -27 'x^3' x=-3
row x '-3 27 -18'
value 6 'x*y' x=2 y=3
row x '2 3 0 1'
row y '3 2 1 0'
value 4 'x' x=4
row x '4 1 0'

value -0.2913126125 'tanh(w*x + b)' x=0.5 w=-1.2 b=0.3 --dot graph.dot
grep -q '^digraph' graph.dot && grep -q 'tanh.*-0.2913' graph.dot ||
  fail "no graph with values"
refuses "--dot" 'x' x=1 --dot no/such/room/graph.dot
status 0 --help

refuses "which expression"
refuses "position 1: a number, a name or '(' is expected, not the end" ''
refuses "position 5: a number, a name or '(' is expected, not the end" 'x + '
refuses "position 3: an operator is expected, not 'y'" 'x y' x=1 y=1
refuses "position 5: a number, a name or '(' is expected, not '*'" 'x + * y'
refuses "position 3: ')' or an operator is expected, not the end" '(x'
refuses "position 2: an operator is expected, not ')'" 'x)'
refuses "position 3: there is no such function" '1+sine(x)'
refuses "position 5: '(' is expected" 'tanh'
refuses "position 1: the number is too large" '1e999'
refuses "the name is too long" "$(printf 'a%.0s' {1..40})"
refuses "the nesting is too deep" "$(printf '(%.0s' {1..5000})"
refuses "too long" "$(printf '1+%.0s' {1..600})1"
refuses "x has no value" 'x + y' y=1
refuses "no such variable" 'x' z=1
refuses "x is given twice" 'x' x=1 x=2
refuses "no finite number" 'x' x=one
refuses "is no NAME=VALUE" 'x' x
refuses "--dott" 'x' x=1 --dott
refuses "--dot needs a value" 'x' x=1 --dot
full_disk 'x' x=1

finish
