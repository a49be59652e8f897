//! A small API server over loopback: objects, lists, watches with 410 Gone, JSON patches with tests, the split of spec and
//! status, generations, dry runs, access reviews; and whatever can go wrong with an answer.

use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of the next request that is no watch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// This status, with this `Retry-After`, s.
    Status(u16, Option<u32>),
    /// No answer, ever.
    Hang,
    /// It is done, and the connection breaks before the answer.
    DoneAndCut,
}

#[derive(Default)]
pub(crate) struct Store {
    /// By path.
    pub(crate) objects: BTreeMap<String, Value>,
    version: u64,
    /// Every change: version, kind of change, path, object.
    log: Vec<(u64, &'static str, String, Value)>,
    /// Watches from before this version are told 410.
    compacted: u64,
    /// Faults of the next patches.
    pub(crate) patch_faults: VecDeque<Fault>,
    /// Faults of the next requests that are no watch.
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) is_permitted: bool,
    pub(crate) has_argo: bool,
    /// Patches that changed something, in order.
    pub(crate) taken: Vec<(String, Value)>,
    /// Requests by method and path.
    pub(crate) asked: Vec<String>,
    pub(crate) events: BTreeMap<String, Value>,
}

pub(crate) struct Api {
    store: Arc<Mutex<Store>>,
    /// Counts up at every change; an odd step cuts the watches.
    changed: watch::Sender<(u64, u64)>,
    pub(crate) kubeconfig: PathBuf,
}

impl Api {
    pub(crate) async fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let kubeconfig = folder.join("kubeconfig");
        let config = format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: t, cluster: {{server: \"http://{address}\"}}}}]\n\
             users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: t, context: {{cluster: t, user: u}}}}]\ncurrent-context: t\n"
        );
        std::fs::write(&kubeconfig, config).unwrap();
        let store = Arc::new(Mutex::new(Store {
            is_permitted: true,
            has_argo: true,
            ..Store::default()
        }));
        let changed = watch::Sender::new((0, 0));
        let (shared, signal) = (Arc::clone(&store), changed.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (store, changed) = (Arc::clone(&shared), signal.clone());
                tokio::spawn(serve(stream, store, changed));
            }
        });
        Self {
            store,
            changed,
            kubeconfig,
        }
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    pub(crate) fn put(&self, path: &str, object: Value) {
        self.store().put(path, object);
        self.changed.send_modify(|(version, _)| *version += 1);
    }

    /// All watches end; those that come again from before now are told 410 Gone.
    pub(crate) fn compact_and_cut(&self) {
        let mut store = self.store();
        store.version += 1;
        store.compacted = store.version;
        drop(store);
        self.changed.send_modify(|(_, cuts)| *cuts += 1);
    }
}

impl Store {
    fn put(&mut self, path: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let kind = if self.objects.contains_key(path) {
            "MODIFIED"
        } else {
            "ADDED"
        };
        self.objects.insert(path.to_owned(), object.clone());
        self.log.push((self.version, kind, path.to_owned(), object));
    }

    fn answer(&mut self, method: &str, path: &str, query: &str, body: &Value) -> (u16, Value) {
        match method {
            "POST" if path.ends_with("selfsubjectaccessreviews") => {
                (201, json!({"status": {"allowed": self.is_permitted}}))
            }
            "POST" if path.ends_with("/events") => {
                let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                if self.events.contains_key(&name) {
                    return status(409, "already exists");
                }
                self.events.insert(name, body.clone());
                (201, body.clone())
            }
            "GET" => match self.objects.get(path) {
                Some(object) => (200, object.clone()),
                None => self.list(path),
            },
            "PATCH" => self.patch(path, query, body),
            _ => status(405, "method not allowed"),
        }
    }

    fn list(&self, path: &str) -> (u16, Value) {
        let Some(plural) = path
            .rsplit('/')
            .next()
            .filter(|last| ["deployments", "rollouts", "replicasets"].contains(last))
        else {
            return status(404, "not found");
        };
        if plural == "rollouts" && !self.has_argo {
            return status(404, "the server could not find the requested resource");
        }
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(path, _)| path.contains(&format!("/{plural}/")))
            .map(|(_, object)| object)
            .collect();
        (
            200,
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": self.version.to_string()}, "items": items}),
        )
    }

    fn patch(&mut self, path: &str, query: &str, body: &Value) -> (u16, Value) {
        if !self.is_permitted {
            return status(403, "forbidden: cannot patch");
        }
        let (path, part) = match path.strip_suffix("/status") {
            Some(path) => (path, "status"),
            None => (path, "spec"),
        };
        let Some(before) = self.objects.get(path).cloned() else {
            return status(404, "not found");
        };
        let mut after = before.clone();
        for operation in body.as_array().unwrap() {
            let at = operation["path"].as_str().unwrap();
            if operation["op"] == "test" {
                if after.pointer(at) != Some(&operation["value"]) {
                    return status(
                        422,
                        "the server rejected our request due to an error in our request",
                    );
                }
                continue;
            }
            let (parent, key) = at.rsplit_once('/').unwrap();
            after.pointer_mut(parent).unwrap()[key] = operation["value"].clone();
        }
        // A patch of one half leaves the other as it was.
        let mut result = before.clone();
        result[part] = after[part].clone();
        if result == before || query.contains("dryRun=All") {
            return (200, result);
        }
        if part == "spec" {
            let generation = before["metadata"]["generation"].as_u64().unwrap();
            result["metadata"]["generation"] = (generation + 1).into();
        }
        self.taken.push((path.to_owned(), body.clone()));
        self.put(path, result.clone());
        (200, result)
    }
}

fn status(code: u16, message: &str) -> (u16, Value) {
    (
        code,
        json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message, "reason": "", "code": code}),
    )
}

async fn serve(
    mut stream: TcpStream,
    store: Arc<Mutex<Store>>,
    changed: watch::Sender<(u64, u64)>,
) {
    while let Some((method, target, body)) = read(&mut stream).await {
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        if query.contains("watch=true") {
            return watching(&mut stream, path, query, &store, changed.subscribe()).await;
        }
        let fault = {
            let mut store = store.lock().unwrap();
            store.asked.push(format!("{method} {path}"));
            let patch = (method == "PATCH" && !query.contains("dryRun"))
                .then(|| store.patch_faults.pop_front())
                .flatten();
            patch.or_else(|| store.faults.pop_front())
        };
        let mut more = String::new();
        let (code, answer) = match &fault {
            Some(Fault::Status(code, wait)) => {
                if let Some(wait) = wait {
                    more = format!("retry-after: {wait}\r\n");
                }
                status(*code, "a fault")
            }
            Some(Fault::Hang) => {
                std::future::pending::<()>().await;
                return;
            }
            _ => store.lock().unwrap().answer(&method, path, query, &body),
        };
        changed.send_modify(|(version, _)| *version += 1);
        if fault == Some(Fault::DoneAndCut) {
            return;
        }
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\r\n",
            answer.len()
        );
        if stream.write_all((head + &answer).as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One request: method, target, body.
async fn read(stream: &mut TcpStream) -> Option<(String, String, Value)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut words = head.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let length: usize = length.unwrap_or(0);
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[end..]).unwrap_or_default();
    Some((method, target, body))
}

async fn watching(
    stream: &mut TcpStream,
    path: &str,
    query: &str,
    store: &Mutex<Store>,
    mut changed: watch::Receiver<(u64, u64)>,
) {
    let plural = path.rsplit('/').next().unwrap_or_default().to_owned();
    let from = query
        .split('&')
        .find_map(|part| part.strip_prefix("resourceVersion="));
    let mut from: u64 = from.and_then(|from| from.parse().ok()).unwrap_or(0);
    let cuts = changed.borrow_and_update().1;
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    loop {
        let lines: Vec<Value> = {
            let store = store.lock().unwrap();
            if from < store.compacted {
                let (_, gone) = status(410, "too old resource version");
                vec![json!({"type": "ERROR", "object": gone})]
            } else {
                let new = store.log.iter().filter(|(version, ..)| *version > from);
                let new = new.filter(|(_, _, path, _)| path.contains(&format!("/{plural}/")));
                let lines = new
                    .map(|(_, kind, _, object)| json!({"type": kind, "object": object}))
                    .collect();
                from = store.version;
                lines
            }
        };
        for line in &lines {
            let text = format!("{line}\n");
            let chunk = format!("{:x}\r\n{text}\r\n", text.len());
            if stream.write_all(chunk.as_bytes()).await.is_err() {
                return;
            }
        }
        let is_over = lines.iter().any(|line| line["type"] == "ERROR");
        if is_over || changed.changed().await.is_err() || changed.borrow_and_update().1 != cuts {
            drop(stream.write_all(b"0\r\n\r\n").await);
            return;
        }
    }
}
