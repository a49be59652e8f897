//! The real control plane: started by a test, ended with it.

use crate::server::until_within;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longest wait for something that the cluster does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Who Tidegate is in the cluster.
const USER: &str = "system:serviceaccount:tidegate:tidegate";
/// Where the tests' workloads are.
pub(crate) const NAMESPACE: &str = "shop";

/// A file of the project.
pub(crate) fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// etcd, kube-apiserver, kube-controller-manager, kwok and perhaps Argo Rollouts.
pub(crate) struct Stack {
    place: PathBuf,
    folder: tempfile::TempDir,
    pub(crate) address: String,
    pub(crate) token: String,
    /// Parts that were started again.
    again: RefCell<Vec<Child>>,
}

/// One request that the API server's audit log tells of.
#[derive(Debug, Clone)]
pub(crate) struct Audited {
    pub(crate) path: String,
    pub(crate) status: u64,
    /// When it was answered, Unix ns.
    pub(crate) at: u64,
}

impl Stack {
    /// Everything is ready when it returns. The namespaces `shop` and `tidegate` are there, with what `deploy/kubernetes` has.
    pub(crate) fn start(with: &str) -> Self {
        let place: PathBuf = std::env::var_os("TIDEGATE_PEER_KUBERNETES")
            .expect("cargo xtask peers kubernetes sets TIDEGATE_PEER_KUBERNETES")
            .into();
        let folder = tempfile::tempdir().unwrap();
        let up = file("tests/peers/kubernetes/up.sh");
        let status = Command::new(up)
            .arg(&place)
            .arg(folder.path())
            .arg(with)
            .status();
        let mut stack = Self {
            place,
            folder,
            address: String::new(),
            token: String::new(),
            again: RefCell::default(),
        };
        assert!(status.unwrap().success(), "the control plane did not start");
        let text = std::fs::read_to_string(stack.folder.path().join("env")).unwrap();
        let names: BTreeMap<&str, &str> = text.lines().filter_map(|l| l.split_once('=')).collect();
        names["APISERVER"].clone_into(&mut stack.address);
        names["TOKEN"].clone_into(&mut stack.token);
        let _ = stack.kubectl(&["create", "namespace", NAMESPACE]);
        let manifests = file("deploy/kubernetes");
        let _ = stack.kubectl(&["apply", "-f", &manifests.display().to_string()]);
        stack
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program of the control plane.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.place.join("bin").join(name)
    }

    /// An administrator's kubeconfig.
    pub(crate) fn config(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program("kubectl"));
        command
            .env("KUBECONFIG", self.config())
            .env("HOME", self.folder.path())
            .args(arguments);
        command
    }

    /// Runs kubectl as an administrator: what it printed. Fails with what it complained of.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "kubectl {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Whether kubectl says yes.
    pub(crate) fn can(&self, verb: &str, resource: &str) -> bool {
        let asked = [
            "auth", "can-i", verb, resource, "-n", NAMESPACE, "--as", USER,
        ];
        let output = self.command(&asked).output().unwrap();
        output.status.success()
    }

    /// `kubectl apply` of `text` in the namespace of the workloads.
    pub(crate) fn apply(&self, text: &str) {
        let mut command = self.command(&["apply", "-n", NAMESPACE, "-f", "-"]);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        drop(input);
        assert!(child.wait().unwrap().success(), "{text}");
    }

    /// An object of the namespace of the workloads.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        let text = self.kubectl(&["get", kind, name, "-n", NAMESPACE, "-o", "json"]);
        serde_json::from_str(&text).unwrap()
    }

    /// Waits until an object is as wanted.
    pub(crate) fn wait(&self, kind: &str, name: &str, is_met: impl Fn(&Value) -> bool) -> Value {
        until_within(
            PATIENCE,
            || Some(self.get(kind, name)).filter(&is_met),
            || format!("{kind} {name} is still {:#}", self.get(kind, name)),
        )
    }

    /// A kubeconfig with the token of Tidegate's service account, for the API server at `address`.
    pub(crate) fn credentials(&self, address: &str) -> PathBuf {
        let token = self.kubectl(&["create", "token", "tidegate", "-n", "tidegate"]);
        let token = token.trim();
        let authority = if address.starts_with("https") {
            format!(", certificate-authority: {}", self.authority().display())
        } else {
            String::new()
        };
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: t\nclusters: [{{name: t, cluster: {{server: \"{address}\"{authority}}}}}]\n\
             users: [{{name: u, user: {{token: {token}}}}}]\ncontexts: [{{name: t, context: {{cluster: t, user: u}}}}]\n"
        );
        let path = self.path("kubeconfig-tidegate");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The certificate that signed the API server's.
    pub(crate) fn authority(&self) -> PathBuf {
        self.path("pki/ca.crt")
    }

    /// From now on Tidegate has the role of `level` and no other.
    pub(crate) fn bind(&self, level: &str) {
        let _ = self.kubectl(&[
            "delete",
            "clusterrolebinding",
            "tidegate",
            "--ignore-not-found",
        ]);
        let role = format!("--clusterrole=tidegate-{level}");
        let account = "--serviceaccount=tidegate:tidegate";
        let _ = self.kubectl(&["create", "clusterrolebinding", "tidegate", &role, account]);
    }

    /// Patches with effect that Tidegate asked for, oldest first.
    pub(crate) fn patches(&self) -> Vec<Audited> {
        let text = std::fs::read(self.path("audit.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let events = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events
            .filter(|event| event["user"]["username"] == USER && event["verb"] == "patch")
            .map(|event| Audited {
                path: event["requestURI"].as_str().unwrap().to_owned(),
                status: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
                at: nanos(event["stageTimestamp"].as_str().unwrap()),
            })
            .filter(|patch| !patch.path.contains("dryRun"))
            .collect()
    }

    /// Those that were taken.
    pub(crate) fn taken(&self) -> Vec<Audited> {
        let mut patches = self.patches();
        patches.retain(|patch| patch.status == 200);
        patches
    }

    /// Ends a part with SIGKILL and starts it again; returns once the API server is ready.
    pub(crate) fn restart(&self, part: &str) {
        let pids = std::fs::read_to_string(self.path("pids")).unwrap();
        let line = pids.lines().rev().find_map(|line| line.strip_prefix(part));
        kill(line.unwrap().trim());
        let log = std::fs::File::create(self.path(&format!("log/{part}-again.log"))).unwrap();
        let child = Command::new("setsid")
            .arg("sh")
            .arg(self.path(&format!("{part}.sh")))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        std::fs::write(self.path("pids"), format!("{pids}{part} {}\n", child.id())).unwrap();
        self.again.borrow_mut().push(child);
        let is_ready = || {
            let asked = self.command(&["get", "--raw", "/readyz"]).output().unwrap();
            asked.status.success().then_some(())
        };
        until_within(PATIENCE, is_ready, || format!("{part} is not back"));
    }
}

/// RFC 3339 as Unix ns.
pub(crate) fn nanos(text: &str) -> u64 {
    let at: jiff::Timestamp = text.parse().unwrap();
    u64::try_from(at.as_nanosecond()).unwrap()
}

fn kill(pid: &str) {
    drop(Command::new("kill").args(["-9", pid]).status());
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            report(self.folder.path());
        }
        let pids = std::fs::read_to_string(self.path("pids")).unwrap_or_default();
        for line in pids.lines().rev() {
            kill(line.split(' ').next_back().unwrap_or_default());
        }
        for child in self.again.get_mut() {
            drop(child.wait());
        }
    }
}

/// The last lines of every part.
fn report(folder: &Path) {
    for entry in std::fs::read_dir(folder.join("log")).into_iter().flatten() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(3).collect();
        eprintln!("{}: {lines:#?}", path.display());
    }
}
