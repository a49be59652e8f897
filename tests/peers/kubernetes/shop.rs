//! A simulated shop that follows the cluster: what pods run of which template is what the API server says, so that a rollout
//! that is halted or taken back really ends its failure.

use crate::stack::{NAMESPACE, Stack};
use serde_json::Value;
use simulator::encode::Dresser;
use simulator::export::{BatchPolicy, Batcher};
use simulator::shop::{Change, Fault, Running, Shop};
use simulator::topology::Topology;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Real time between two steps of the shop.
const STEP: Duration = Duration::from_millis(20);
/// Steps between two looks at the cluster.
const LOOKS: u64 = 8;
/// Processes ship their spans this often.
const EXPORT_NANOS: u64 = 500_000_000;

/// What is wrong with a version, by service and image tag.
pub(crate) type Faults = Vec<(&'static str, &'static str, Fault)>;

/// Unix time, ns.
pub(crate) fn now() -> u64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    now.as_nanos() as u64
}

#[derive(Default)]
struct Shared {
    http: String,
    changes: Vec<Change>,
    /// When the first spans of a template were taken, by template hash, Unix ns.
    received: BTreeMap<String, u64>,
    /// What runs, by service.
    running: BTreeMap<&'static str, Vec<Running>>,
}

/// The shop; it closes when dropped.
pub(crate) struct Follower {
    shared: Arc<Mutex<Shared>>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Follower {
    /// Opens with `rate` shoppers a second. The services in `followed` are workloads of the cluster by the label `app`.
    pub(crate) fn open(
        stack: &Stack,
        http: &str,
        rate: f64,
        followed: &'static [&'static str],
        faults: Faults,
    ) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            http: http.to_owned(),
            ..Shared::default()
        }));
        let stop = CancellationToken::new();
        let play = Play {
            cluster: Cluster::new(stack),
            shared: Arc::clone(&shared),
            followed,
            faults,
        };
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let run = move || runtime.block_on(play.run(rate, stopped));
        Self {
            shared,
            stop,
            thread: Some(std::thread::Builder::new().spawn(run).unwrap()),
        }
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something else happens to the shop.
    pub(crate) fn change(&self, change: Change) {
        self.shared().changes.push(change);
    }

    /// The server came back on another port.
    pub(crate) fn redirect(&self, http: &str) {
        http.clone_into(&mut self.shared().http);
    }

    /// When the first spans of a template were taken, Unix ns.
    pub(crate) fn received(&self, hash: &str) -> Option<u64> {
        self.shared().received.get(hash).copied()
    }

    /// Template hashes that take traffic of `service` now.
    pub(crate) fn serving(&self, service: &str) -> Vec<String> {
        let shared = self.shared();
        let running = shared.running.get(service).into_iter().flatten();
        running.map(|one| one.template_hash.clone()).collect()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Cluster {
    client: reqwest::Client,
    pods: String,
    token: String,
}

impl Cluster {
    fn new(stack: &Stack) -> Self {
        let pem = std::fs::read(stack.authority()).unwrap();
        let authority = reqwest::Certificate::from_pem(&pem).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([authority])
            .build();
        Self {
            client: client.unwrap(),
            pods: format!("{}/api/v1/namespaces/{NAMESPACE}/pods", stack.address),
            token: stack.token.clone(),
        }
    }

    /// Pods that are ready; `None` while the API server does not answer.
    async fn ready(&self) -> Option<Vec<Value>> {
        let request = self.client.get(&self.pods).bearer_auth(&self.token);
        let answer = request.send().await.ok()?.json::<Value>().await.ok()?;
        let is_ready = |pod: &&Value| {
            let conditions = pod["status"]["conditions"].as_array();
            let mut conditions = conditions.into_iter().flatten();
            pod["metadata"]["deletionTimestamp"].is_null()
                && conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
        };
        let pods = answer["items"].as_array()?.iter();
        Some(pods.filter(is_ready).cloned().collect())
    }
}

struct Play {
    cluster: Cluster,
    shared: Arc<Mutex<Shared>>,
    followed: &'static [&'static str],
    faults: Faults,
}

impl Play {
    async fn run(self, rate: f64, stop: CancellationToken) {
        let topology = Topology::shop();
        let mut shop = Shop::new(topology.clone(), 1, now(), rate);
        let mut dresser = Dresser::new(topology.clone());
        let mut batchers: Vec<Batcher> = Vec::new();
        let mut spans = Vec::new();
        let client = reqwest::Client::new();
        let mut times = tokio::time::interval(STEP);
        for step in 0_u64.. {
            if stop.is_cancelled() {
                return;
            }
            times.tick().await;
            if step.is_multiple_of(LOOKS)
                && let Some(pods) = self.cluster.ready().await
            {
                for service in self.followed {
                    let running = self.running(service, &pods);
                    self.lock().running.insert(service, running.clone());
                    let service = topology.find(service).unwrap();
                    shop.change(Change::Runs { service, running });
                }
            }
            let changes = std::mem::take(&mut self.lock().changes);
            changes.into_iter().for_each(|change| shop.change(change));
            let at = now();
            shop.advance(at, &mut spans);
            while batchers.len() < shop.pods().len() {
                batchers.push(Batcher::new(BatchPolicy::every(EXPORT_NANOS), at));
            }
            for (pod, span) in spans.drain(..) {
                batchers[pod].offer(span);
            }
            for (pod, batcher) in batchers.iter_mut().enumerate() {
                while let Some(batch) = batcher.due(at) {
                    let process = &shop.pods()[pod];
                    let bytes = dresser.request(pod, process, &batch);
                    let hash = process.template_hash.clone();
                    self.send(&client, bytes, hash).await;
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While the server is down spans are lost, as with any exporter that gives up.
    async fn send(&self, client: &reqwest::Client, bytes: Vec<u8>, hash: String) {
        let url = format!("{}/v1/traces", self.lock().http);
        let request = client
            .post(url)
            .timeout(Duration::from_secs(2))
            .header("content-type", "application/x-protobuf")
            .body(bytes);
        let is_taken = request
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success());
        if is_taken {
            self.lock().received.entry(hash).or_insert_with(now);
        }
    }

    /// One revision a template hash; every ready pod takes the same share.
    fn running(&self, service: &str, pods: &[Value]) -> Vec<Running> {
        let mut found: BTreeMap<String, Running> = BTreeMap::new();
        for pod in pods {
            let labels = &pod["metadata"]["labels"];
            let hash = ["rollouts-pod-template-hash", "pod-template-hash"];
            let hash = hash.iter().find_map(|label| labels[label].as_str());
            let (Some(hash), true) = (hash, labels["app"] == service) else {
                continue;
            };
            let image = pod["spec"]["containers"][0]["image"].as_str().unwrap();
            let version = image.rsplit(':').next().unwrap();
            let fault = self
                .faults
                .iter()
                .find(|one| one.0 == service && one.1 == version);
            let one = found.entry(hash.to_owned()).or_insert_with(|| Running {
                version: version.to_owned(),
                template_hash: hash.to_owned(),
                pods: Vec::new(),
                share: 0,
                fault: fault.map(|one| one.2).unwrap_or_default(),
            });
            one.pods
                .push(pod["metadata"]["name"].as_str().unwrap().to_owned());
            one.share += 1;
        }
        found.into_values().collect()
    }
}
