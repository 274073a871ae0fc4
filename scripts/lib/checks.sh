# Sourced by the checks that run inside a root. `check WHAT COMMAND…` counts the result, and prints the output of a
# command that fails.
passed=0
failed=0

check() {
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
    echo "  ok: $what"
  else
    failed=$((failed + 1))
    printf '  FAILED: %s\n%s\n' "$what" "$output"
  fi
}

fails() { if "$@"; then return 1; fi; }

closing() {
  echo
  echo "$passed passed, $failed failed"
  ((failed == 0))
}
