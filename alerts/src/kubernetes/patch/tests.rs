//! The requests, letter by letter.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn action(kind: ActionKind, of: WorkloadKind) -> Action {
    Action {
        kind,
        object: ObjectKey {
            kind: of,
            namespace: "shop".to_owned(),
            name: "checkout".to_owned(),
        },
        uid: "u-1".to_owned(),
        hash: "7f9c".to_owned(),
        generation: 7,
        decision: 1,
        reason: String::new(),
    }
}

#[test]
fn an_abort_tests_object_and_template_and_takes_the_pause_away_first() {
    let rollout = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/checkout";
    let held = action(
        ActionKind::Abort { unpause: true },
        WorkloadKind::ArgoRollout,
    );
    let [unpause, abort] = patches(&held, &Value::Null).try_into().unwrap();
    assert_eq!(unpause.path, rollout);
    assert_eq!(
        unpause.body,
        json!([
            {"op": "test", "path": "/metadata/uid", "value": "u-1"},
            {"op": "test", "path": "/metadata/generation", "value": 7},
            {"op": "add", "path": "/spec/paused", "value": false},
        ])
    );
    assert_eq!(abort.path, format!("{rollout}/status"));
    assert_eq!(
        abort.body,
        json!([
            {"op": "test", "path": "/metadata/uid", "value": "u-1"},
            {"op": "test", "path": "/status/currentPodHash", "value": "7f9c"},
            {"op": "add", "path": "/status/abort", "value": true},
            {"op": "add", "path": "/status/promoteFull", "value": false},
        ])
    );
    let plain = action(
        ActionKind::Abort { unpause: false },
        WorkloadKind::ArgoRollout,
    );
    assert_eq!(patches(&plain, &Value::Null), [abort]);
}

#[test]
fn an_undo_is_one_patch_of_template_and_pause() {
    let undo = ActionKind::Undo {
        replica_set: "checkout-5d5f".to_owned(),
        hash: "5d5f".to_owned(),
    };
    let template = json!({"metadata": {"labels": {"app": "checkout", "pod-template-hash": "5d5f"}}, "spec": {"new": 1}});
    let [undo] = patches(&action(undo, WorkloadKind::Deployment), &template)
        .try_into()
        .unwrap();
    assert_eq!(
        undo.path,
        "/apis/apps/v1/namespaces/shop/deployments/checkout"
    );
    assert_eq!(
        undo.body[2],
        json!({"op": "replace", "path": "/spec/template", "value": {"metadata": {"labels": {"app": "checkout"}}, "spec": {"new": 1}}})
    );
    assert_eq!(
        undo.body[3],
        json!({"op": "add", "path": "/spec/paused", "value": false})
    );
}
