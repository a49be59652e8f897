//! Actions as requests: nothing here looks or chooses.
//!
//! A patch of `/status` is bound to the object and the template hash, because Argo rewrites statuses all the time. One of the
//! spec is bound to the object and the spec that was seen (`metadata.generation`): `resourceVersion` changes with every pod
//! that gets ready, in the middle of the very rollout that is to be stopped.

use engine::hand::{Action, ActionKind, ObjectKey, WorkloadKind};
use serde_json::{Value, json};

/// One JSON patch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Patch {
    pub(super) path: String,
    pub(super) body: Value,
}

/// Path of an object.
pub(super) fn path(object: &ObjectKey) -> String {
    let (namespace, name) = (&object.namespace, &object.name);
    match object.kind {
        WorkloadKind::Deployment => {
            format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
        }
        WorkloadKind::ArgoRollout => {
            format!("/apis/argoproj.io/v1alpha1/namespaces/{namespace}/rollouts/{name}")
        }
    }
}

/// Label with a template's hash on the pods of a workload.
pub(super) const fn hash_label(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "pod-template-hash",
        WorkloadKind::ArgoRollout => "rollouts-pod-template-hash",
    }
}

/// The requests of `action`, in order. `template` is the pod template of the ReplicaSet that an undo names, else null.
pub(super) fn patches(action: &Action, template: &Value) -> Vec<Patch> {
    let path = path(&action.object);
    let spec = |operations: &[Value]| {
        let mut body = vec![
            json!({"op": "test", "path": "/metadata/uid", "value": action.uid}),
            json!({"op": "test", "path": "/metadata/generation", "value": action.generation}),
        ];
        body.extend_from_slice(operations);
        Patch {
            path: path.clone(),
            body: Value::Array(body),
        }
    };
    let unpaused = json!({"op": "add", "path": "/spec/paused", "value": false});
    match &action.kind {
        ActionKind::Abort { unpause } => {
            let abort = Patch {
                path: format!("{path}/status"),
                body: json!([
                    {"op": "test", "path": "/metadata/uid", "value": action.uid},
                    {"op": "test", "path": "/status/currentPodHash", "value": action.hash},
                    {"op": "add", "path": "/status/abort", "value": true},
                    {"op": "add", "path": "/status/promoteFull", "value": false},
                ]),
            };
            let first = unpause.then(|| spec(&[unpaused]));
            first.into_iter().chain([abort]).collect()
        }
        ActionKind::Pause => {
            vec![spec(&[
                json!({"op": "add", "path": "/spec/paused", "value": true}),
            ])]
        }
        ActionKind::Undo { .. } => vec![spec(&[
            json!({"op": "replace", "path": "/spec/template", "value": clean(template, action.object.kind)}),
            unpaused,
        ])],
    }
}

/// The template as a person would write it: without the hash that its controller added.
fn clean(template: &Value, kind: WorkloadKind) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(hash_label(kind));
    }
    template
}

/// Whether `object` is as `action` wants it already.
pub(super) fn is_done(action: &Action, object: &Value) -> bool {
    match &action.kind {
        ActionKind::Abort { .. } => {
            object["status"]["abort"] == true && object["status"]["currentPodHash"] == action.hash
        }
        ActionKind::Pause => object["spec"]["paused"] == true,
        // The hash of a Deployment's template is not in it; that its spec changed is told by the generation.
        ActionKind::Undo { .. } => false,
    }
}

#[cfg(test)]
mod tests;
