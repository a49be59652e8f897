#!/bin/sh
# Asks Tidegate whether a rollout may go on, and lets the pipeline go on only then.
#
#   gate.sh SERVICE CANDIDATE
#
# Settings, all optional, by environment variables:
#   TIDEGATE_SERVER       where Tidegate is (default http://127.0.0.1:9470)
#   TIDEGATE_BINARY       the program (default tidegate)
#   GATE_ENVIRONMENT      environment of the service, when several have its name
#   GATE_NAMESPACE        namespace of the service, likewise
#   GATE_PHASE            admit before the deployment, advance (default) after it
#   GATE_WAIT             seconds to wait for enough evidence (default 600)
#   GATE_ON_WAIT          fail (default) or pass: what too little evidence means
#   GATE_ON_UNKNOWN       fail (default) or pass: what no answer means
#
# Exit codes: 0 go on, 10 too little evidence, 20 halt, 30 no answer, 2 usage. What is printed is the evidence.
set -u

if [ $# -ne 2 ]; then
  echo "usage: gate.sh SERVICE CANDIDATE" >&2
  exit 2
fi
"${TIDEGATE_BINARY:-tidegate}" gate "$1" --candidate "$2" \
  --server "${TIDEGATE_SERVER:-http://127.0.0.1:9470}" \
  --environment "${GATE_ENVIRONMENT:-}" --namespace "${GATE_NAMESPACE:-}" \
  --phase "${GATE_PHASE:-advance}" --wait "${GATE_WAIT:-600}"
code=$?
case "$code" in
  10) [ "${GATE_ON_WAIT:-fail}" = pass ] && code=0 ;;
  30 | 126 | 127) # 126 and 127: the program is not there, which is no answer either.
    code=30
    [ "${GATE_ON_UNKNOWN:-fail}" = pass ] && code=0
    ;;
esac
exit "$code"
