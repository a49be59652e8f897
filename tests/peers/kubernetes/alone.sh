#!/bin/sh
# alone.sh PROGRAM ARGS...: runs it with a network that has only a loopback device, because Argo listens on every address; and
# as the parent of a process namespace, so that nothing that it starts outlives it. Where the system does not allow that, as it is.
set -eu
map=
[ "$(id -u)" = 0 ] || map=--map-root-user
apart="unshare $map --net --pid --fork --kill-child --mount-proc"
if $apart sh -c 'ip link set lo up' 2> /dev/null; then
    exec $apart sh -c 'ip link set lo up && "$@"; exit $?' alone "$@"
fi
echo "alone.sh: no namespaces here: Argo's metrics are open to the network while the tests run" >&2
exec "$@"
