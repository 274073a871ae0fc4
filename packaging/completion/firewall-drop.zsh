#compdef firewall-drop
_firewall-drop() {
  local line
  local -a items
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      _files
      return
    fi
    items+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done < <("$words[1]" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe -V 'firewall-drop' items
}
if [[ $funcstack[1] == _firewall-drop ]]; then
  _firewall-drop "$@"
else
  compdef _firewall-drop firewall-drop
fi
