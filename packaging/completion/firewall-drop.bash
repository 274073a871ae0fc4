# bash completion for firewall-drop
_firewall_drop() {
  local line current words
  line=${COMP_LINE:0:COMP_POINT}
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=${words[-1]}
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line != :files ]]; then
      COMPREPLY+=("${line%%$'\t'*}")
    else
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
    fi
  done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
  # A colon ends a word for bash: of an IPv6 address it wants only what follows the last one.
  COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
}
complete -F _firewall_drop firewall-drop
