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
    let wide = (u128::from(own) << 64) | u128::from(mix(own));
    let hex = format!("{wide:032x}");
    Pod {
        service,
        version: version.to_owned(),
        name: format!("{name}-{template_hash}-{}", kubernetes_suffix(own, 5)),
        template_hash,
        instance_id: format!(
            "{}-{}-4{}-8{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..]
        ),
    }
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
