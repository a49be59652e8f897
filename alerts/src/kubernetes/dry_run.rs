//! Whether a halt would be taken: asked before it is needed, and again every minute.

use super::api::Cluster;
use super::patch::path;
use engine::hand::{ClusterReport, Level, ObjectKey, Readiness, WorkloadKind};
use engine::input::Input;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Time between two dry runs. What was refused in earnest is tried again only after the next one.
const EVERY: Duration = Duration::from_secs(60);
/// The same while the API server does not answer.
const EVERY_AWAY: Duration = Duration::from_secs(5);

/// What acting needs: API group, resource.
const NEEDED: [(&str, &str, &str); 3] = [
    ("apps", "deployments", ""),
    ("argoproj.io", "rollouts", ""),
    ("argoproj.io", "rollouts", "status"),
];

pub(super) struct DryRun {
    pub(super) cluster: Arc<Cluster>,
    pub(super) max_level: Level,
    pub(super) is_logged: bool,
    pub(super) inputs: mpsc::Sender<Input>,
}

/// Why it would not be taken.
enum Doubt {
    /// The API server says no.
    Refused(String),
    /// It says nothing.
    Away(String),
}

impl DryRun {
    /// Runs until the inputs close.
    pub(super) async fn run(self) {
        loop {
            let found = self.look().await;
            let wait = if matches!(found, Err(Doubt::Away(_))) {
                EVERY_AWAY
            } else {
                EVERY
            };
            let readiness = Readiness {
                max_level: self.max_level,
                is_armed: found.is_ok(),
                why: match found {
                    Ok(()) => String::new(),
                    Err(Doubt::Refused(why) | Doubt::Away(why)) => why,
                },
            };
            let report = Input::Cluster(ClusterReport::Readiness(readiness));
            if self.inputs.send(report).await.is_err() {
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn look(&self) -> Result<(), Doubt> {
        if self.max_level < Level::Act {
            let level = self.max_level.name();
            return Err(Doubt::Refused(format!("kubernetes.max_level is {level}")));
        }
        if !self.is_logged {
            let why =
                "there is no data_dir, in which actions are written down before they are tried";
            return Err(Doubt::Refused(why.to_owned()));
        }
        for (group, resource, part) in NEEDED {
            self.may_patch(group, resource, part).await?;
        }
        for kind in super::watch::KINDS {
            self.try_one(kind).await?;
        }
        Ok(())
    }

    async fn may_patch(&self, group: &str, resource: &str, part: &str) -> Result<(), Doubt> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "group": group, "resource": resource, "subresource": part, "verb": "patch",
                "namespace": self.cluster.namespace.clone().unwrap_or_default(),
            }},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = self
            .cluster
            .post(path, &review)
            .await
            .map_err(Doubt::Away)?;
        if !answer.is_success() {
            return Err(doubt(answer.status, answer.words()));
        }
        if answer.body["status"]["allowed"] == true {
            return Ok(());
        }
        let what = if part.is_empty() {
            format!("{resource}.{group}")
        } else {
            format!("{resource}/{part}.{group}")
        };
        Err(Doubt::Refused(format!("patch of {what} is not permitted")))
    }

    /// Patches one object without changing it, and without effect: admission sees it, too.
    async fn try_one(&self, kind: WorkloadKind) -> Result<(), Doubt> {
        let list = super::watch::list_path(&self.cluster, kind);
        let answer = self
            .cluster
            .get(&format!("{list}?limit=1"))
            .await
            .map_err(Doubt::Away)?;
        // 404: Argo Rollouts is not installed.
        if answer.status == 404 {
            return Ok(());
        }
        if !answer.is_success() {
            return Err(doubt(answer.status, answer.words()));
        }
        let metadata = &answer.body["items"][0]["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if metadata.is_null() {
            return Ok(());
        }
        let object = ObjectKey {
            kind,
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
        };
        let part = match kind {
            WorkloadKind::Deployment => "",
            WorkloadKind::ArgoRollout => "/status",
        };
        let path = format!("{}{part}?dryRun=All", path(&object));
        let body = json!([{"op": "test", "path": "/metadata/uid", "value": metadata["uid"]}]);
        let answer = self
            .cluster
            .patch(&path, &body)
            .await
            .map_err(Doubt::Away)?;
        // It may have been replaced in this moment: that is no refusal.
        if answer.is_success() || matches!(answer.status, 404 | 409 | 422) {
            return Ok(());
        }
        let words = answer.words();
        Err(doubt(
            answer.status,
            format!("a dry run on {object} was refused: {words}"),
        ))
    }
}

fn doubt(status: u16, words: String) -> Doubt {
    if matches!(status, 408..=410 | 429) || status >= 500 {
        Doubt::Away(words)
    } else {
        Doubt::Refused(words)
    }
}
