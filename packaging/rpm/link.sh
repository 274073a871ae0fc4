# rpm has no diversions: the agent's program gets another name while this package is installed.
link() {
  [ -d "$RESPONSES" ] || return 0
  must_run || return 1
  for name in $NAMES; do replace "$RESPONSES/$name"; done
}
