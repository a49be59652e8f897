#!/usr/bin/env bash
# up.sh FOLDER STATE [argo]: etcd, kube-apiserver with an audit log, kube-controller-manager, kwok with one node, and Argo
# Rollouts, from what build.sh put into FOLDER, on free loopback ports, with everything they write below STATE.
#
# Writes STATE/env (names and places), STATE/pids ("name pid" lines) and STATE/kubeconfig. There is no scheduler: pod templates
# say `nodeName: kwok-node-0`. It ends when all is ready; whoever called it ends the processes with SIGKILL.
set -euo pipefail
T=${1:?usage: up.sh FOLDER STATE [argo]} S=${2:?} WITH=${3:-}
B=$T/bin
mkdir -p "$S"/{pki,log,etcd}
cd "$S"
umask 077
: > pids
die() { echo "up.sh: $*" >&2; tail -n 5 "$S"/log/*.log >&2; exit 1; }

used=" "
port() { # a free port below those that the kernel gives away; sets REPLY
    local p
    while :; do
        p=$((10000 + (RANDOM * 32768 + RANDOM) % 20000))
        case $used in *" $p "*) continue ;; esac
        if ! (exec 3<> /dev/tcp/127.0.0.1/$p) 2> /dev/null; then used+="$p " REPLY=$p; return; fi
    done
}

spawn() { # name, command...; `NAME.sh` starts it again in the same way
    local name=$1
    shift
    { echo '#!/bin/sh'; printf 'exec'; printf " '%s'" "$@"; echo; } > "$name.sh"
    setsid sh "$name.sh" < /dev/null > "log/$name.log" 2>&1 &
    echo "$name $!" >> pids
}

# One CA, one server certificate, one key for service accounts.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=test-ca -keyout pki/ca.key -out pki/ca.crt 2> /dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=kube-apiserver -keyout pki/server.key -out pki/server.csr 2> /dev/null
openssl x509 -req -in pki/server.csr -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 30 -out pki/server.crt 2> /dev/null \
    -extfile <(printf 'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n')
openssl ecparam -name prime256v1 -genkey -noout -out pki/sa.key
TOKEN=$(openssl rand -hex 16)
echo "$TOKEN,admin,admin,\"system:masters\"" > tokens.csv
cat > audit.yaml << 'A'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: None, nonResourceURLs: ["*"]}
  - {level: None, users: [admin, "system:apiserver"]}
  - level: Request
A

port; EP=$REPLY
port; EPP=$REPLY
port; AP=$REPLY
port; CP=$REPLY
port; KP=$REPLY
cat > kubeconfig << K
apiVersion: v1
kind: Config
clusters: [{name: t, cluster: {server: "https://127.0.0.1:$AP", certificate-authority-data: $(base64 -w0 pki/ca.crt)}}]
users: [{name: u, user: {token: $TOKEN}}]
contexts: [{name: t, context: {cluster: t, user: u, namespace: default}}]
current-context: t
K
kc() { "$B/kubectl" --kubeconfig "$S/kubeconfig" "$@"; }
ready() { # what, command...: 60 s
    local what=$1 i
    shift
    for i in $(seq 600); do "$@" > /dev/null 2>&1 && return; sleep .1; done
    die "not ready: $what"
}

spawn etcd "$B/etcd" --name=t --data-dir="$S/etcd" --unsafe-no-fsync --log-level=warn \
    --listen-client-urls=http://127.0.0.1:$EP --advertise-client-urls=http://127.0.0.1:$EP \
    --listen-peer-urls=http://127.0.0.1:$EPP --initial-advertise-peer-urls=http://127.0.0.1:$EPP --initial-cluster=t=http://127.0.0.1:$EPP
spawn kube-apiserver "$B/kube-apiserver" --etcd-servers=http://127.0.0.1:$EP \
    --bind-address=127.0.0.1 --secure-port=$AP --advertise-address=127.0.0.1 --endpoint-reconciler-type=none \
    --tls-cert-file="$S/pki/server.crt" --tls-private-key-file="$S/pki/server.key" \
    --service-account-issuer=https://kubernetes.default.svc --service-account-signing-key-file="$S/pki/sa.key" \
    --service-account-key-file="$S/pki/sa.key" --token-auth-file="$S/tokens.csv" --authorization-mode=RBAC \
    --audit-policy-file="$S/audit.yaml" --audit-log-path="$S/audit.log" \
    --service-cluster-ip-range=10.96.0.0/16 --allow-privileged=true --profiling=false
ready kube-apiserver kc get --raw /readyz
spawn kube-controller-manager "$B/kube-controller-manager" --kubeconfig="$S/kubeconfig" --leader-elect=false \
    --bind-address=127.0.0.1 --secure-port=$CP --service-account-private-key-file="$S/pki/sa.key" --root-ca-file="$S/pki/ca.crt" \
    --kube-api-qps=200 --kube-api-burst=400 --profiling=false \
    --controllers=deployment-controller,replicaset-controller,garbage-collector-controller,namespace-controller,serviceaccount-controller,serviceaccount-token-controller,endpoints-controller,endpointslice-controller
HOME=$S spawn kwok "$B/kwok" --kubeconfig="$S/kubeconfig" --manage-all-nodes=true --server-address=127.0.0.1:$KP \
    --node-ip=127.0.0.1 --cidr=10.244.0.0/16 $(printf -- '--config=%s ' "$T"/share/kwok/*.yaml)
echo '{"apiVersion":"v1","kind":"Node","metadata":{"name":"kwok-node-0","labels":{"type":"kwok"}}}' | kc create -f - > /dev/null
ready "the node" kc wait --for=condition=Ready --timeout=1s node/kwok-node-0
ready "the service account" kc get serviceaccount default
if [ "$WITH" = argo ]; then
    kc create -f "$T/share/crds/argo" > /dev/null
    ready "Argo's CRDs" kc wait --for=condition=Established --timeout=1s crd \
        rollouts.argoproj.io analysisruns.argoproj.io analysistemplates.argoproj.io clusteranalysistemplates.argoproj.io experiments.argoproj.io
    kc create ns argo-rollouts > /dev/null
    port; AM=$REPLY
    port; AH=$REPLY
    spawn argo "$B/rollouts-controller" --kubeconfig="$S/kubeconfig" --namespace=argo-rollouts --leader-elect=false \
        --metricsPort=$AM --healthzPort=$AH --qps=200 --burst=400
    ready "Argo Rollouts" curl -sf -m 1 "http://127.0.0.1:$AH/healthz"
fi
printf 'APISERVER=https://127.0.0.1:%s\nTOKEN=%s\n' "$AP" "$TOKEN" > env
