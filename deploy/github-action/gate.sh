#!/usr/bin/env bash
# The step of action.yml: runs ../ci/gate.sh, keeps what it said for the job's summary, sets the outputs.
set -uo pipefail

answer=$("${BASH_SOURCE[0]%/*}/../ci/gate.sh" "$SERVICE" "$CANDIDATE" 2>&1)
code=$?
echo "$answer"
# The first word of the answer is the verdict; with on-wait and on-unknown the exit code may say something else.
verdict=$(head -n 1 <<<"$answer" | grep -oE '^(PROCEED|WAIT|HALT)' | tr '[:upper:]' '[:lower:]')
{
  echo "verdict=${verdict:-unknown}"
  echo "code=$code"
} >>"$GITHUB_OUTPUT"
{
  echo "### Tidegate: ${verdict:-unknown}"
  echo
  # Indented, it is text: names come from telemetry.
  printf '%s\n' "$answer" | sed 's/^/    /'
} >>"$GITHUB_STEP_SUMMARY"
exit "$code"
