# rpm has no diversions: what is not our link goes beside us, and comes back when we go.
link() {
  [ -d "$RESPONSES" ] || return 0
  must_run || return 1
  for name in $NAMES; do replace "$RESPONSES/$name"; done
}
