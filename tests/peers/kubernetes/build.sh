#!/usr/bin/env bash
# build.sh FOLDER: etcd, kube-apiserver, kube-controller-manager, kubectl, kwok and Argo Rollouts, unmodified, from their Go
# modules into FOLDER/bin, and their CRDs and stages into FOLDER/share. No containers, no root.
#
# What is built at its version already is skipped, so a run that was broken off goes on. Needs go >= 1.26, bash, awk, sed,
# flock; about 20 min and, until it is done, 9 GB for Go's caches, which it has to itself and removes (GOMODCACHE and GOCACHE
# are used as they are when set). JOBS: compiler processes (default: 2).
set -euo pipefail
# shellcheck source=versions.env
. "$(dirname "$0")/versions.env"
T=${1:?usage: build.sh FOLDER}
mkdir -p "$T"/{bin,share,stamp,work}
T=$(cd "$T" && pwd)
exec 9> "$T/.lock"
flock 9 # one builder per folder: a second one waits
own=
[ -n "${GOMODCACHE:-}" ] || own=1
export GOMODCACHE=${GOMODCACHE:-$T/mod} GOCACHE=${GOCACHE:-$T/gocache} GOFLAGS="-buildvcs=false" CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off
unset GOBIN
say() { echo "build.sh: $*" >&2; }
go version | awk '{split(substr($3,3),v,"."); exit !(v[1]>1 || v[2]>=26)}' || { say "go >= 1.26 is needed, have: $(go version)"; exit 1; }

modinfo() { go mod download -json "$1@$2" | sed -n "s/^[[:space:]]*\"$3\": \"\(.*\)\".*/\1/p"; }

gobuild() { # name, package, ldflags: through a temporary name, so that what is there is whole
    go build -p "${JOBS:-2}" -pgo=off -trimpath -ldflags "-s -w ${3:-}" -o "$T/work/$1.new" "$2"
    mv -f "$T/work/$1.new" "$T/bin/$1"
}

wrapper() { # kubernetes requires its staging modules at v0.0.0: replace each with its published version
    [ ! -s "$T/work/k8s/ok-$K8S" ] || return 0
    rm -rf "$T/work/k8s"
    mkdir -p "$T/work/k8s"
    cd "$T/work/k8s"
    local gm m args=()
    gm=$(modinfo k8s.io/kubernetes "v$K8S" GoMod)
    for m in $(awk '$2=="v0.0.0"{print $1}' "$gm" | sort -u); do args+=("-replace=$m=$m@v$STAGING"); done
    go mod init kubebins 2> /dev/null
    go mod edit "${args[@]}" "-require=k8s.io/kubernetes@v$K8S" -go="$(awk '$1=="go"{print $2}' "$gm")" \
        -tool=k8s.io/kubernetes/cmd/kube-apiserver -tool=k8s.io/kubernetes/cmd/kube-controller-manager \
        -tool=k8s.io/kubernetes/cmd/kubectl -tool=go.etcd.io/etcd/server/v3
    # Instead of 'go mod tidy': no dependencies of tests are fetched.
    go list -mod=mod -deps tool > /dev/null
    echo ok > "ok-$K8S"
}

V=k8s.io/component-base/version
KL="-X $V.gitVersion=v$K8S -X $V.gitMajor=1 -X $V.gitMinor=$(echo "$K8S" | cut -d. -f2)"

build() {
    case $1 in
    etcd) wrapper; cd "$T/work/k8s"; gobuild etcd go.etcd.io/etcd/server/v3 ;;
    kube-apiserver | kube-controller-manager | kubectl) wrapper; cd "$T/work/k8s"; gobuild "$1" "k8s.io/kubernetes/cmd/$1" "$KL" ;;
    kwok) GOBIN="$T/bin" go install -p "${JOBS:-2}" -trimpath -ldflags "-s -w" "sigs.k8s.io/kwok/cmd/kwok@v$KWOK" ;;
    argo) # its go.mod has replace lines, which go install refuses: a wrapper module repeats them
        local gm w="$T/work/argo" module=github.com/argoproj/argo-rollouts
        rm -rf "$w"
        mkdir -p "$w"
        cd "$w"
        gm=$(modinfo $module "v$ARGO" GoMod)
        {
            echo "module argobin"
            awk '$1=="go"{print}' "$gm"
            echo "require $module v$ARGO"
            awk '/^replace \(/{p=1} p{print} p&&/^\)/{p=0} /^replace [^(]/{print}' "$gm"
        } > go.mod
        go mod edit -tool=$module/cmd/rollouts-controller
        go list -mod=mod -deps tool > /dev/null
        gobuild rollouts-controller $module/cmd/rollouts-controller "-X $module/utils/version.version=v$ARGO"
        ;;
    files)
        local a k
        a=$(modinfo github.com/argoproj/argo-rollouts "v$ARGO" Dir)
        k=$(modinfo sigs.k8s.io/kwok "v$KWOK" Dir)
        rm -rf "$T"/share/{crds,kwok}
        mkdir -p "$T"/share/{crds/argo,kwok}
        cp "$a"/manifests/crds/*-crd.yaml "$T/share/crds/argo/"
        cp "$k"/kustomize/stage/node/fast/node-initialize.yaml "$k"/kustomize/stage/pod/fast/pod-{ready,complete,delete}.yaml "$T/share/kwok/"
        chmod -R u+w "$T/share"
        ;;
    esac
}

for part in etcd kube-apiserver kube-controller-manager kubectl kwok argo files; do
    case $part in kwok) v=$KWOK ;; argo) v=$ARGO ;; files) v=$ARGO-$KWOK ;; *) v=$K8S ;; esac
    stamp=$T/stamp/$part-$v
    [ ! -e "$stamp" ] || continue
    say "$part $v"
    started=$SECONDS
    (set -e; build "$part")
    echo "$((SECONDS - started)) s, $(go version)" > "$stamp"
    say "$part $v: $(cat "$stamp")"
done
if [ -n "$own" ]; then
    go clean -modcache
    rm -rf "$T/gocache"
fi
rm -rf "$T/work"
