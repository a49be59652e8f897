//! Real files in a real directory; nothing here waits for a fixed time.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use std::fs;
use tempfile::TempDir;

fn service(name: &str) -> String {
    format!("apiVersion: openslo/v1\nkind: Service\nmetadata: {{name: {name}}}\n")
}

struct Setup {
    directory: TempDir,
    loads: mpsc::Receiver<DefinitionsLoaded>,
    reloader: Reloader,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Setup {
    /// Starts watching a directory with one good file, and takes the first reading.
    async fn start(poll: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.yaml"), service("a")).unwrap();
        let options = WatchOptions {
            quiet: Duration::from_millis(20),
            poll,
            ..WatchOptions::new(directory.path().to_owned(), LoadOptions::default())
        };
        let (out, loads) = mpsc::channel(64);
        let (watch, reloader) = watch(options, out);
        let stop = CancellationToken::new();
        let task = tokio::spawn(watch.run(stop.clone()));
        let mut setup = Self {
            directory,
            loads,
            reloader,
            stop,
            task,
        };
        let first = setup.next().await;
        assert_eq!(first.definitions.unwrap().generation, 1);
        setup
    }

    async fn next(&mut self) -> DefinitionsLoaded {
        tokio::time::timeout(Duration::from_secs(20), self.loads.recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// Readings until one satisfies `wanted`.
    async fn until(&mut self, wanted: impl Fn(&DefinitionsLoaded) -> bool) -> DefinitionsLoaded {
        loop {
            let loaded = self.next().await;
            if wanted(&loaded) {
                return loaded;
            }
        }
    }
}

fn services(loaded: &DefinitionsLoaded) -> Vec<String> {
    let definitions = loaded.definitions.as_ref();
    let mut names: Vec<String> = definitions
        .map(|definitions| {
            definitions
                .services
                .values()
                .map(|one| one.service.name.clone())
                .collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}

/// Scenario: a file is added, then spoilt, then mended, while Tidegate runs.
/// Guarantees: each state is read; a bad one gives no definitions, its place, and no new generation.
#[tokio::test(flavor = "multi_thread")]
async fn changes_are_read_and_a_bad_file_is_refused() {
    let mut setup = Setup::start(Duration::from_secs(3600)).await;
    let file = setup.directory.path().join("b.yaml");
    fs::write(&file, service("b")).unwrap();
    let added = setup.until(|loaded| services(loaded) == ["a", "b"]).await;
    let generation = added.definitions.unwrap().generation;

    fs::write(
        &file,
        "apiVersion: openslo/v1\nkind: Servise\nmetadata: {name: b}\n",
    )
    .unwrap();
    let bad = setup.until(|loaded| loaded.definitions.is_none()).await;
    assert_eq!(
        bad.problems
            .iter()
            .map(|p| p.place.as_str())
            .collect::<Vec<_>>(),
        ["b.yaml:2:7"]
    );

    fs::write(&file, service("better")).unwrap();
    let mended = setup
        .until(|loaded| services(loaded) == ["a", "better"])
        .await;
    assert_eq!(mended.definitions.unwrap().generation, generation + 1);
    setup.stop.cancel();
    setup.task.await.unwrap();
}

/// Scenario: a Kubernetes ConfigMap is mounted: visible links through `..data`, which is swapped by rename.
/// Guarantees: each file is read once, and the swap is seen.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_configmap_swap_is_one_change() {
    use std::os::unix::fs::symlink;
    let mut setup = Setup::start(Duration::from_secs(3600)).await;
    let root = setup.directory.path().to_owned();
    for (version, name) in [("..v1", "m1"), ("..v2", "m2")] {
        fs::create_dir(root.join(version)).unwrap();
        fs::write(root.join(version).join("m.yaml"), service(name)).unwrap();
    }
    symlink("..v1", root.join("..data")).unwrap();
    symlink("..data/m.yaml", root.join("m.yaml")).unwrap();
    setup.until(|loaded| services(loaded) == ["a", "m1"]).await;
    symlink("..v2", root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    setup.until(|loaded| services(loaded) == ["a", "m2"]).await;
}

/// Scenario: the file system reports nothing (here: the watched directory is replaced), only polling is left.
/// Guarantees: the change is found all the same.
#[tokio::test(flavor = "multi_thread")]
async fn polling_finds_what_is_not_reported() {
    let mut setup = Setup::start(Duration::from_millis(50)).await;
    let root = setup.directory.path().to_owned();
    let aside = tempfile::tempdir().unwrap();
    fs::rename(&root, aside.path().join("old")).unwrap();
    fs::create_dir(&root).unwrap();
    fs::write(root.join("c.yaml"), service("c")).unwrap();
    setup.until(|loaded| services(loaded) == ["c"]).await;
}

/// Scenario: `POST /-/reload` several times, without any change.
/// Guarantees: each is answered with what was read and sent on; nobody listening any more ends the watcher.
#[tokio::test(flavor = "multi_thread")]
async fn explicit_reload_answers() {
    let mut setup = Setup::start(Duration::from_secs(3600)).await;
    for generation in 2..12 {
        let answer = setup.reloader.reload().await.unwrap();
        assert_eq!(answer.definitions.as_ref().unwrap().generation, generation);
        assert_eq!(setup.next().await, answer);
    }
    drop(setup.loads);
    setup.reloader.reload().await;
    setup.task.await.unwrap();
    assert_eq!(setup.reloader.reload().await, None);
}
