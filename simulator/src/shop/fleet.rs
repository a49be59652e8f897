//! What runs: revisions of each service, their pods, their share of the traffic, and what is wrong with them.

use crate::random::{Random, mix, mix_text};
use crate::topology::{ServiceIndex, Topology};

/// Index of a pod in [`Fleet::pods`].
pub type PodIndex = usize;

/// Share that means all traffic, in 1/100 of a percent.
pub const WHOLE: u32 = 10_000;

/// What is wrong with a revision.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It fails this share of its requests by itself, 0..=1.
    Errors(f64),
    /// Its own work takes this many times longer.
    Slow(f64),
    /// It makes each of its calls this many times, and waits for the first alone: it answers as well and as fast as before.
    Calls(u8),
}

/// What somebody else, such as a cluster, says runs of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// `service.version`.
    pub version: String,
    /// `k8s.pod.label.pod-template-hash`; one revision a hash.
    pub template_hash: String,
    /// `k8s.pod.name`s; without one it takes no traffic.
    pub pods: Vec<String>,
    /// Its share of the traffic, in any unit.
    pub share: u32,
    /// What is wrong with it.
    pub fault: Fault,
}

/// One running process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Service it belongs to.
    pub service: ServiceIndex,
    /// `service.version`.
    pub version: String,
    /// `k8s.pod.label.pod-template-hash`.
    pub template_hash: String,
    /// `k8s.pod.name`.
    pub name: String,
    /// `service.instance.id`, a UUID.
    pub instance_id: String,
}

/// One revision of one service.
#[derive(Debug, Clone)]
pub(crate) struct Revision {
    pub(crate) version: String,
    pub(crate) share: u32,
    pub(crate) fault: Fault,
    pub(crate) pods: Vec<PodIndex>,
    /// Whoever says what runs does not name it any more.
    pub(crate) is_ended: bool,
}

/// All revisions and pods. Pods are only ever added: a revision without traffic keeps its idle pods.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fleet {
    pub(crate) revisions: Vec<Vec<Revision>>,
    pub(crate) pods: Vec<Pod>,
}

impl Fleet {
    /// The first version of every service, with all traffic.
    pub(crate) fn new(topology: &Topology, salt: u64) -> Self {
        let mut fleet = Self {
            revisions: vec![Vec::new(); topology.services.len()],
            pods: Vec::new(),
        };
        for (index, service) in topology.services.iter().enumerate() {
            fleet.add(
                topology,
                index,
                service.version,
                service.pods,
                Fault::None,
                salt,
            );
            fleet.revisions[index][0].share = WHOLE;
        }
        fleet
    }

    /// Starts `pods` pods of a new revision without traffic; a known version only gets the fault.
    pub(crate) fn add(
        &mut self,
        topology: &Topology,
        service: ServiceIndex,
        version: &str,
        pods: usize,
        fault: Fault,
        salt: u64,
    ) {
        if let Some(known) = self.find(service, version) {
            self.revisions[service][known].fault = fault;
            return;
        }
        let name = topology.services[service].name;
        let first = self.pods.len();
        let revision = mix(mix_text(name) ^ mix_text(version));
        let pod = |ordinal: usize| pod(service, name, version, revision, salt, ordinal);
        self.pods.extend((0..pods).map(pod));
        self.revisions[service].push(Revision {
            version: version.to_owned(),
            share: 0,
            fault,
            pods: (first..self.pods.len()).collect(),
            is_ended: false,
        });
    }

    /// The index of a version among the revisions of its service.
    pub(crate) fn find(&self, service: ServiceIndex, version: &str) -> Option<usize> {
        self.revisions[service]
            .iter()
            .position(|revision| revision.version == version)
    }

    /// Gives `version` a share of the traffic; the others share the rest, the oldest first.
    pub(crate) fn set_share(&mut self, service: ServiceIndex, version: &str, share: u32) {
        let Some(wanted) = self.find(service, version) else {
            return;
        };
        let share = share.min(WHOLE);
        let mut rest = WHOLE - share;
        for (index, revision) in self.revisions[service].iter_mut().enumerate() {
            revision.share = if index == wanted {
                share
            } else {
                std::mem::take(&mut rest)
            };
        }
    }

    /// From now on exactly `running` takes the traffic of `service`. Pods are known by their names.
    pub(crate) fn run(&mut self, service: ServiceIndex, running: Vec<Running>, salt: u64) {
        for revision in &mut self.revisions[service] {
            revision.share = 0;
            revision.is_ended = true;
        }
        for one in running.into_iter().filter(|one| !one.pods.is_empty()) {
            let pods = one
                .pods
                .iter()
                .map(|name| self.pod_called(service, name, &one, salt));
            let pods = pods.collect();
            let known = self.revisions[service].iter().position(|known| {
                let first = known.pods.first().map(|pod| &self.pods[*pod]);
                first.is_some_and(|pod| pod.template_hash == one.template_hash)
            });
            let revision = Revision {
                version: one.version,
                share: one.share,
                fault: one.fault,
                pods,
                is_ended: false,
            };
            match known {
                Some(index) => self.revisions[service][index] = revision,
                None => self.revisions[service].push(revision),
            }
        }
    }

    fn pod_called(
        &mut self,
        service: ServiceIndex,
        name: &str,
        of: &Running,
        salt: u64,
    ) -> PodIndex {
        let known = self.pods.iter().position(|pod| pod.name == name);
        known.unwrap_or_else(|| {
            self.pods.push(Pod {
                service,
                version: of.version.clone(),
                template_hash: of.template_hash.clone(),
                name: name.to_owned(),
                instance_id: instance_id(mix(salt ^ mix_text(name))),
            });
            self.pods.len() - 1
        })
    }

    /// Whether a pod still is one of its service.
    pub(crate) fn is_running(&self, pod: PodIndex) -> bool {
        let mut revisions = self.revisions[self.pods[pod].service].iter();
        revisions.any(|one| !one.is_ended && one.pods.contains(&pod))
    }

    /// Whether any revision of `service` takes traffic.
    pub(crate) fn serves(&self, service: ServiceIndex) -> bool {
        self.revisions[service].iter().any(|one| one.share > 0)
    }

    /// Routes one request: a revision by share, then one of its pods.
    pub(crate) fn route(&self, service: ServiceIndex, random: &mut Random) -> (usize, PodIndex) {
        let revisions = &self.revisions[service];
        let chosen = random.weighted(revisions.iter().map(|revision| u64::from(revision.share)));
        let pods = &revisions[chosen].pods;
        (chosen, pods[random.below(pods.len())])
    }
}

fn pod(
    service: ServiceIndex,
    name: &str,
    version: &str,
    revision: u64,
    salt: u64,
    ordinal: usize,
) -> Pod {
    let template_hash = kubernetes_suffix(revision, 10);
    let own = mix(revision ^ mix(salt ^ ordinal as u64));
    Pod {
        service,
        version: version.to_owned(),
        name: format!("{name}-{template_hash}-{}", kubernetes_suffix(own, 5)),
        template_hash,
        instance_id: instance_id(own),
    }
}

/// A UUID.
fn instance_id(own: u64) -> String {
    let wide = (u128::from(own) << 64) | u128::from(mix(own));
    let hex = format!("{wide:032x}");
    format!(
        "{}-{}-4{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}

/// The alphabet of Kubernetes' generated names: no vowels, so no words.
fn kubernetes_suffix(seed: u64, length: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut random = seed;
    (0..length)
        .map(|_| {
            random = mix(random);
            char::from(ALPHABET[(random % ALPHABET.len() as u64) as usize])
        })
        .collect()
}
