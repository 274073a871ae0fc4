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
  # Bash splits words at colons, so complete only the part of an IPv6 address after the last colon.
  COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
}
complete -F _firewall_drop firewall-drop
