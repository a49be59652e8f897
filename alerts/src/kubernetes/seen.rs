//! Objects as the API server shows them, as observations: a pure translation.

use super::patch::hash_label;
use engine::hand::{
    Level, NAMES_MAX, ObjectKey, Phase, ServiceSeen, TEMPLATES_MAX, TemplateSeen, WorkloadKind,
    WorkloadSeen,
};
use serde_json::Value;

/// A ReplicaSet of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetSeen {
    /// uid of the workload that owns it.
    pub(super) owner: String,
    pub(super) template: TemplateSeen,
    /// Whether it has pods, or is to have some.
    pub(super) has_pods: bool,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Reads a ReplicaSet; `None` when no workload owns it or it says no hash.
pub(super) fn set(object: &Value) -> Option<SetSeen> {
    let metadata = &object["metadata"];
    let owner = metadata["ownerReferences"]
        .as_array()?
        .iter()
        .find(|owner| owner["controller"] == true)?;
    let (kind, annotation) = match text(&owner["kind"]) {
        "Deployment" => (
            WorkloadKind::Deployment,
            "deployment.kubernetes.io/revision",
        ),
        "Rollout" => (WorkloadKind::ArgoRollout, "rollout.argoproj.io/revision"),
        _ => return None,
    };
    let hash = text(&metadata["labels"][hash_label(kind)]);
    if hash.is_empty() {
        return None;
    }
    let name = text(&metadata["name"]).to_owned();
    let mut names = vec![hash.to_owned(), name.clone()];
    names.extend(versions(&object["spec"]["template"]));
    names.dedup();
    names.truncate(NAMES_MAX);
    let pods = |part: &str| object[part]["replicas"].as_u64().unwrap_or_default();
    Some(SetSeen {
        owner: text(&owner["uid"]).to_owned(),
        has_pods: pods("status") > 0 || pods("spec") > 0,
        template: TemplateSeen {
            hash: hash.to_owned(),
            replica_set: name,
            number: text(&metadata["annotations"][annotation])
                .parse()
                .unwrap_or_default(),
            names,
        },
    })
}

/// What else a template's spans may be called: digest, tag, version.
fn versions(template: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let images = template["spec"]["containers"].as_array();
    for image in images.into_iter().flatten().map(|one| text(&one["image"])) {
        if let Some((_, digest)) = image.split_once('@') {
            names.push(digest.to_owned());
        }
        let name = image.split('@').next().unwrap_or_default();
        let last = name.rsplit('/').next().unwrap_or_default();
        if let Some((_, tag)) = last.split_once(':') {
            names.push(tag.to_owned());
        }
    }
    let metadata = &template["metadata"];
    names.push(
        text(&metadata["annotations"]["resource.opentelemetry.io/service.version"]).to_owned(),
    );
    names.push(text(&metadata["labels"]["app.kubernetes.io/version"]).to_owned());
    names.retain(|name| !name.is_empty());
    names
}

/// Reads a Deployment or an Argo Rollout with its ReplicaSets; `None` when it has no name.
pub(super) fn workload(
    kind: WorkloadKind,
    object: &Value,
    mut sets: Vec<&SetSeen>,
    environment: &str,
) -> Option<WorkloadSeen> {
    let metadata = &object["metadata"];
    let name = text(&metadata["name"]);
    if name.is_empty() {
        return None;
    }
    sets.sort_by_key(|set| std::cmp::Reverse((set.template.number, set.template.hash.clone())));
    let own = |key: &str| text(&metadata["annotations"][format!("tidegate.dev/{key}")]);
    let stands = match kind {
        WorkloadKind::Deployment => deployment(object, &sets),
        WorkloadKind::ArgoRollout => rollout(object),
    };
    let templates = sets.iter().take(TEMPLATES_MAX);
    Some(WorkloadSeen {
        object: ObjectKey {
            kind,
            namespace: text(&metadata["namespace"]).to_owned(),
            name: name.to_owned(),
        },
        uid: text(&metadata["uid"]).to_owned(),
        generation: metadata["generation"].as_u64().unwrap_or_default(),
        service: service(object, own("service-name"), own("namespace"), environment),
        // What cannot be read lowers it as far as can be.
        level: match own("level") {
            "" => None,
            level => Some(Level::named(level).unwrap_or_default()),
        },
        undo: match own("undo") {
            "" => None,
            undo => Some(undo == "true"),
        },
        phase: stands.phase,
        is_held: object["spec"]["paused"] == true,
        current: stands.current,
        stable: stands.stable,
        step: stands.step,
        steps: stands.steps,
        weight: stands.weight,
        templates: templates.map(|set| set.template.clone()).collect(),
    })
}

/// Where a workload stands.
struct Stands {
    phase: Phase,
    current: String,
    stable: String,
    step: Option<u32>,
    steps: u32,
    weight: Option<u32>,
}

/// `sets` newest first.
fn deployment(object: &Value, sets: &[&SetSeen]) -> Stands {
    let number = text(&object["metadata"]["annotations"]["deployment.kubernetes.io/revision"]);
    let number: u64 = number.parse().unwrap_or_default();
    let current = sets.iter().find(|set| set.template.number == number);
    let current = current.map_or_else(String::new, |set| set.template.hash.clone());
    let older = sets
        .iter()
        .find(|set| set.has_pods && set.template.hash != current);
    let stable = older.map_or_else(|| current.clone(), |set| set.template.hash.clone());
    let generation = object["metadata"]["generation"].as_u64();
    let is_told = object["status"]["observedGeneration"].as_u64() == generation;
    let phase = if !is_told || current.is_empty() {
        Phase::Unknown
    } else if older.is_none() {
        Phase::Stable
    } else if object["spec"]["paused"] == true {
        Phase::Paused
    } else {
        Phase::Progressing
    };
    Stands {
        phase,
        current,
        stable,
        step: None,
        steps: 0,
        weight: None,
    }
}

fn rollout(object: &Value) -> Stands {
    let (spec, status) = (&object["spec"], &object["status"]);
    let current = text(&status["currentPodHash"]).to_owned();
    let stable = text(&status["stableRS"]).to_owned();
    let generation = object["metadata"]["generation"].as_u64();
    // A string there, unlike everywhere else.
    let is_told = text(&status["observedGeneration"]).parse().ok() == generation;
    let steps = spec["strategy"]["canary"]["steps"].as_array();
    let step = status["currentStepIndex"].as_u64();
    let is_waiting = status["pauseConditions"]
        .as_array()
        .is_some_and(|conditions| !conditions.is_empty());
    let phase = if !is_told || current.is_empty() {
        Phase::Unknown
    } else if current == stable {
        Phase::Stable
    } else if status["abort"] == true {
        Phase::Aborted
    } else if is_waiting || spec["paused"] == true {
        Phase::Paused
    } else {
        Phase::Progressing
    };
    Stands {
        phase,
        weight: weight(status, steps, step),
        step: step.and_then(|step| u32::try_from(step).ok()),
        steps: steps.map_or(0, |steps| u32::try_from(steps.len()).unwrap_or(u32::MAX)),
        current,
        stable,
    }
}

/// The candidate's share: as the traffic router was told, else by the steps gone through.
fn weight(status: &Value, steps: Option<&Vec<Value>>, step: Option<u64>) -> Option<u32> {
    let told = status["canary"]["weights"]["canary"]["weight"].as_u64();
    let gone = usize::try_from(step?).unwrap_or(usize::MAX);
    let gone = steps.into_iter().flatten().take(gone.saturating_add(1));
    let set = gone.filter_map(|step| step["setWeight"].as_u64()).last();
    let percent = told.or(set)?.min(100);
    u32::try_from(percent * 100).ok()
}

/// Possible names of the service, in OpenTelemetry's order of precedence for Kubernetes; what the object says itself goes
/// before it and stands alone.
fn service(object: &Value, name: &str, namespace: &str, environment: &str) -> ServiceSeen {
    let metadata = &object["metadata"];
    let template = &object["spec"]["template"];
    let pod = &template["metadata"];
    let otel = |key: &str| text(&pod["annotations"][format!("resource.opentelemetry.io/{key}")]);
    let containers = || {
        template["spec"]["containers"]
            .as_array()
            .into_iter()
            .flatten()
    };
    let variable = containers()
        .flat_map(|one| one["env"].as_array().into_iter().flatten())
        .find(|one| one["name"] == "OTEL_SERVICE_NAME")
        .map_or("", |one| text(&one["value"]));
    let told = [name, variable, otel("service.name")];
    let told = told.into_iter().find(|name| !name.is_empty());
    let mut names: Vec<String> = match told {
        Some(told) => vec![told.to_owned()],
        None => [
            text(&pod["labels"]["app.kubernetes.io/instance"]),
            text(&pod["labels"]["app.kubernetes.io/name"]),
            text(&metadata["name"]),
        ]
        .into_iter()
        .chain(containers().map(|one| text(&one["name"])))
        .map(str::to_owned)
        .collect(),
    };
    let mut known = std::collections::BTreeSet::new();
    names.retain(|name| !name.is_empty() && known.insert(name.clone()));
    names.truncate(NAMES_MAX);
    let namespaces = [namespace, otel("service.namespace")];
    let told = namespaces.into_iter().find(|one| !one.is_empty());
    ServiceSeen {
        names,
        namespace: told.unwrap_or(text(&metadata["namespace"])).to_owned(),
        is_namespace_told: told.is_some(),
        environment: environment.to_owned(),
    }
}

#[cfg(test)]
mod tests;
