# comments.awk - the public headers' plain comments as Doxygen reads them. How
# comments are written in engine/include and nn/include:
#
#   - The comment that opens a file begins "/* name.h - what it is."
#   - A comment stands for all declarations below it, up to a blank line or the
#     next comment; one behind a declaration or a field, for that one.
#   - Everything that is declared has one of these. A "---- title ----" has not
#     to do with what follows.
#   - A name of the library in a comment (cg_backward, CG_LOAD_CONVERT) must
#     exist. Lines indented further than the text are shown as they are.
#
# So that comments need no markup, what Doxygen would take for some is escaped.

function escape(s) {
  gsub(/[\\@<>&#%"*`|]/, "\\\\&", s)
  return link(s)
}

# Names of the library become links, which must resolve.
function link(s,   out) {
  out = ""
  while (match(s, /(^|[^A-Za-z0-9_.\/])(cg|CG)_[A-Za-z0-9_]*[A-Za-z0-9]/)) {
    word = substr(s, RSTART, RLENGTH)
    lead = word ~ /^(cg|CG)_/ ? "" : substr(word, 1, 1)
    if (substr(s, RSTART + RLENGTH) ~ /^[(]/) # an example of a call
      lead = word
    out = out substr(s, 1, RSTART - 1) lead (lead == word ? "" : "#") \
          substr(word, length(lead) + 1)
    s = substr(s, RSTART + RLENGTH)
  }
  return out s
}

# The lines text[1..n] as one Doxygen comment that `opening` begins.
function emit(opening,   i, line, code) {
  printf "%s", opening
  code = 0
  for (i = 1; i <= n; i++) {
    line = text[i]
    if (line ~ /^  +[^ ]/ && !code) { printf "@verbatim\n"; code = 1 }
    else if (code && line ~ /^[^ ]/) { printf "@endverbatim\n"; code = 0 }
    print code ? line : escape(line)
  }
  if (code) printf "@endverbatim\n"
  printf "*/"
}

# Reads the comment that starts with `s`, up to its end; what is behind it goes
# to `rest`.
function read_comment(s,   end) {
  n = 0
  sub(/^\/\* ?/, "", s)
  while (!(end = index(s, "*/"))) {
    sub(/ +$/, "", s)
    text[++n] = s
    if ((getline s) <= 0) break
    sub(/^ +\* ?/, "", s)
    if (s ~ /^\/$/) { rest = ""; return }
    if (s !~ /^ / || trailing) sub(/^ +/, "", s)
  }
  rest = substr(s, end + 2)
  s = substr(s, 1, end - 1)
  sub(/ +$/, "", s)
  if (s != "") text[++n] = s
}

function keep(   i) {
  kept = n
  for (i = 1; i <= n; i++) saved[i] = text[i]
}

function restore(   i) {
  n = kept
  for (i = 1; i <= n; i++) text[i] = saved[i]
}

# The list of error codes, which Doxygen would see without its sentences.
/^  X\([A-Z]+, "/ {
  split($0, part, /[(,"]/)
  codes[++n_codes] = "CG_ERR_" part[2]
  sentence[n_codes] = part[4]
}
/^  CG_STATUS_LIST\(CG_STATUS_ENUM\)/ {
  for (i = 1; i <= n_codes; i++)
    print codes[i] ", /**< " sentence[i] " */"
  next
}

NR == 1 {
  trailing = 0
  read_comment($0)
  sub(/^[a-z_]+\.h - /, "", text[1])
  emit("/** @file\n")
  print ""
  next
}

/^ *\/\*/ && !/^ *\/\* ----/ {
  trailing = 0
  sub(/^ */, "")
  read_comment($0)
  keep()
  emit("/** ")
  print rest
  fresh = 1
  next
}

# A title with text below it: the text is the comment of what follows.
/^ *\/\* ----/ && !/\*\// {
  trailing = 0
  read_comment($0)
  text[1] = ""
  keep()
  emit("/** ")
  print rest
  fresh = 1
  next
}

/^$/ || /^ *\/\* ----/ { kept = 0; print ""; next }

# A declaration; under a comment that one above has used up, it is repeated.
{
  starts = /^(CG_API|typedef|#define|enum)/
  if (starts && kept && !fresh && !/\/\*/) {
    restore()
    emit("/** ")
    print ""
  }
  if (starts) fresh = 0
  at = index($0, "/*")
  if (!at) { print; next }
  front = substr($0, 1, at - 1)
  trailing = 1
  read_comment(substr($0, at))
  for (; front ~ /^  [a-z0-9_ ]+ [A-Za-z_]+, /; sub(/ [A-Za-z_]+,/, "", front)) {
    match(front, /,/) # T, B, ...: a declaration each
    printf "%s; ", substr(front, 1, RSTART - 1)
    emit("/**< ")
    print ""
  }
  printf "%s", front
  emit("/**< ")
  print rest
}
