#!/bin/sh
# Runs a local process that joined a service by an intercept, with its telemetry marked as such:
#
#   telepresence intercept checkout --port 8080 -- deploy/telepresence/marked.sh npm start
#
# The intercepted environment is the pod's. Its resource attributes are kept but for those that name the pod's own
# revision and instance: the local process is another one.
set -eu

kept=$(printf '%s' "${OTEL_RESOURCE_ATTRIBUTES:-}" | tr ',' '\n' | grep -Ev \
  '^ *(service\.version|service\.instance\.id|deployment\.id|container\.image\.[a-z_]+|k8s\.(pod|replicaset)\..*|(rollouts-)?pod-template-hash|tidegate\.revision\.kind) *=' |
  paste -sd, -)
OTEL_RESOURCE_ATTRIBUTES="${kept:+$kept,}service.version=${TIDEGATE_REVISION:-local-$(id -un)},tidegate.revision.kind=intercept"
export OTEL_RESOURCE_ATTRIBUTES
exec "$@"
