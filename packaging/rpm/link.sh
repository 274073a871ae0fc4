# rpm has no diversions: what is not our link goes beside us, and comes back when we go.
link() {
  [ -d "$RESPONSES" ] || return 0
  for name in $NAMES; do
    path=$RESPONSES/$name
    if [ "$(readlink "$path")" = "$PROGRAM" ]; then continue; fi
    if [ -e "$path" ]; then mv -f "$path" "$path.wazuh"; fi
    ln -sfn "$PROGRAM" "$path"
  done
}
