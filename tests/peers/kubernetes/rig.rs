//! A cluster, a Tidegate at level act before it, and a shop that follows the cluster.

use crate::endpoint::{Endpoint, Reply, configuration};
use crate::proxy::Proxy;
use crate::server::{Server, until_within};
use crate::shop::{Faults, Follower};
use crate::stack::{NAMESPACE, PATIENCE, Stack, file, nanos};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Shoppers a second.
pub(crate) const RATE: f64 = 300.0;

/// The team's file: `checkout` may be halted.
pub(crate) fn definitions(data: &Path, services: &[&str]) {
    let folder = data.join("slos");
    std::fs::create_dir_all(&folder).unwrap();
    for service in services {
        let text = format!(
            "apiVersion: openslo/v1\nkind: Service\nmetadata:\n  name: {service}\n  annotations: {{tidegate.dev/namespace: shop, \
             tidegate.dev/environment: demo, tidegate.dev/maturity: growth, tidegate.dev/level: act}}\nspec: {{}}\n"
        );
        std::fs::write(folder.join(format!("{service}.yaml")), text).unwrap();
    }
}

/// Tidegate at level act, with pages to `people`.
pub(crate) fn serve(data: &Path, kubeconfig: &Path, people: &Endpoint) -> Server {
    let config = configuration(data, &[people]);
    let folder = data.join("slos");
    Server::start_with(
        &[
            "--data-dir",
            data.to_str().unwrap(),
            "--definitions",
            folder.to_str().unwrap(),
            "--config",
            config.to_str().unwrap(),
        ],
        &[
            ("TIDEGATE_KUBERNETES_WATCH", "true"),
            ("TIDEGATE_KUBERNETES_MAX_LEVEL", "act"),
            ("TIDEGATE_KUBERNETES_NAMESPACE", NAMESPACE),
            (
                "TIDEGATE_KUBERNETES_KUBECONFIG",
                kubeconfig.to_str().unwrap(),
            ),
        ],
    )
}

/// A cluster, a Tidegate at level act, and the shop.
pub(crate) struct Rig {
    pub(crate) shop: Follower,
    pub(crate) server: Server,
    pub(crate) people: Endpoint,
    pub(crate) proxy: Proxy,
    pub(crate) stack: Stack,
    kubeconfig: PathBuf,
    data: tempfile::TempDir,
}

impl Rig {
    /// What is there first serves alone, and everything is armed, when it returns.
    pub(crate) fn start(with: &str, workload: &str, faults: Faults) -> Self {
        let stack = Stack::start(with);
        stack.bind("act");
        let proxy = Proxy::start(&stack);
        let kubeconfig = stack.credentials(&proxy.address);
        let data = tempfile::tempdir().unwrap();
        definitions(data.path(), &["checkout"]);
        let people = Endpoint::start("people", |_| Reply::Status(204));
        let server = serve(data.path(), &kubeconfig, &people);
        if with == "argo" {
            stack.apply(&analysis(&server.api));
        }
        stack.apply(workload);
        let shop = Follower::open(&stack, &server.http, RATE, &["checkout"], faults);
        // What is there first is what a candidate is compared with.
        let _ = server.wait("/v1/rollouts", |body| {
            let row = &body["rollouts"][0];
            row["phase"] == "stable" && row["revision"] != "" && body["hand"]["armed"] == true
        });
        let question = "/v1/gate?service=checkout&namespace=shop&environment=demo";
        let _ = server.wait(question, |body| {
            body["code"] == "NO_CANDIDATE" && body["baseline"][0].is_string()
        });
        Self {
            shop,
            server,
            people,
            proxy,
            stack,
            kubeconfig,
            data,
        }
    }

    /// Ends Tidegate with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again with what it had.
    pub(crate) fn restart(&mut self) {
        self.server = serve(self.data.path(), &self.kubeconfig, &self.people);
        self.shop.redirect(&self.server.http);
    }

    /// The lines of `actions.log`.
    pub(crate) fn journal(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.data.path().join("actions.log"));
        let text = text.unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    pub(crate) fn row(&self) -> Value {
        self.server.get("/v1/rollouts")["rollouts"][0].clone()
    }

    pub(crate) fn wait_row(&self, is_met: impl Fn(&Value) -> bool) -> Value {
        until_within(
            PATIENCE,
            || Some(self.row()).filter(|row| is_met(row)),
            || {
                let question = "/v1/gate?service=checkout&namespace=shop&environment=demo";
                format!("{:#}\n{:#}", self.row(), self.server.get(question))
            },
        )
    }

    pub(crate) fn decision(&self, id: &Value) -> Value {
        let all = self.server.get("/v1/decisions");
        let mut all = all.as_array().unwrap().iter();
        all.find(|one| one["id"] == *id).unwrap().clone()
    }

    /// Prints and checks: span received, verdict, patch acknowledged.
    pub(crate) fn times(&self, what: &str, hash: &str) -> u64 {
        let row = self.row();
        let decision = self.decision(&row["decision_id"]);
        let verdict = nanos(decision["answer"]["as_of"].as_str().unwrap());
        let patches = self.stack.taken();
        assert_eq!(patches.len(), 1, "{patches:#?}");
        let received = self.shop.received(hash).unwrap();
        let millis = |from: u64, to: u64| to.saturating_sub(from) / 1_000_000;
        let taken = millis(verdict, patches[0].at);
        println!(
            "{what}: first span received -> verdict {} ms ({}), verdict -> patch acknowledged {taken} ms",
            millis(received, verdict),
            decision["answer"]["code"].as_str().unwrap(),
        );
        taken
    }

    /// The shop is served by one template alone.
    pub(crate) fn wait_alone(&self, hash: &str) {
        let serving = || self.shop.serving("checkout");
        let is_alone = || (serving() == [hash]).then_some(());
        until_within(PATIENCE, is_alone, || {
            format!("{:?} serve, not {hash} alone", serving())
        });
    }
}

/// The shipped analysis template, asking this server.
pub(crate) fn analysis(api: &str) -> String {
    let text = std::fs::read_to_string(file("deploy/argo/analysis-template.yaml")).unwrap();
    text.replace("http://tidegate.tidegate.svc.cluster.local:9470", api)
}

/// The shipped Rollout with this image tag, on the fake node.
pub(crate) fn rollout(tag: &str) -> String {
    let text = std::fs::read_to_string(file("deploy/argo/rollout.yaml")).unwrap();
    text.replace(":1.4.2", &format!(":{tag}")).replace(
        "      containers:",
        "      nodeName: kwok-node-0\n      containers:",
    )
}

/// A Deployment with this image tag: its pods must be ready for some time, so that it can be caught half way.
pub(crate) fn deployment(tag: &str, annotations: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: checkout, annotations: {{{annotations}}}}}
spec:
  replicas: 4
  minReadySeconds: 15
  selector: {{matchLabels: {{app: checkout}}}}
  strategy: {{rollingUpdate: {{maxSurge: 1, maxUnavailable: 0}}}}
  template:
    metadata: {{labels: {{app: checkout}}}}
    spec:
      nodeName: kwok-node-0
      containers: [{{name: checkout, image: 'registry.example.com/checkout:{tag}'}}]
"
    )
}

/// A JSON string.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
