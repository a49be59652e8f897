//! Files made to hurt: each is refused at a named line, quickly.

use super::yaml::{BYTES_MAX, DEPTH_MAX, NODES_MAX};
use super::*;

/// The first problem of a hostile file.
fn first(text: &str) -> (String, String) {
    let loaded = load(text);
    assert!(loaded.definitions.is_none());
    let problem = loaded.problems.into_iter().next().unwrap();
    (problem.place, problem.message)
}

#[test]
fn hostile_files_are_refused_at_a_line() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    let (place, message) = first(&laughs);
    assert!(place.starts_with("a.yaml:5:"), "{place}");
    assert_eq!(
        message,
        format!("expected at most {NODES_MAX} values in a file, aliases expanded, got more")
    );

    let anchors: String = (0..60_000)
        .map(|index| format!("- &a{index} x\n"))
        .collect();
    assert_eq!(first(&anchors).0, "a.yaml:25001:11");

    let too_deep = format!("expected at most {DEPTH_MAX} levels of nesting, got more");
    assert_eq!(
        first(&"[".repeat(10_000)),
        ("a.yaml:1:33".to_owned(), too_deep.clone())
    );
    let block: String = (0..10_000)
        .map(|depth| format!("{}a:\n", " ".repeat(depth % 400)))
        .take(100)
        .collect();
    assert_eq!(first(&block), ("a.yaml:33:33".to_owned(), too_deep.clone()));
    let doubled: String = (1..8).fold("a: &a0 [[[[[[x]]]]]]\n".to_owned(), |text, level| {
        text + &format!("b{level}: &a{level} [[[[[[*a{}]]]]]]\n", level - 1)
    });
    assert_eq!(first(&doubled), ("a.yaml:6:15".to_owned(), too_deep));

    let large = "x".repeat(BYTES_MAX + 1);
    assert_eq!(
        first(&large).1,
        "expected at most 1048576 bytes (1 MiB), got 1048577"
    );
    assert_eq!(
        first("a: &a [*a]\n").1,
        "expected an alias of a finished value, got one of a value it stands in"
    );
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let source = Source {
        name: "a.yaml".to_owned(),
        bytes: b"a: b\nc: d\xc3\xa9\xff".to_vec(),
    };
    let loaded = load_sources(&[source], &LoadOptions::default());
    assert_eq!(
        problems(&loaded),
        "error: a.yaml:2:6: expected UTF-8, got the byte 0xff\n  hint: save the file as UTF-8\n"
    );
}

/// Guarantees: nothing in a message can move a terminal's cursor or hide text.
#[test]
fn messages_show_control_characters() {
    let loaded = load(&with("0.999", "\"\\e[2J\\u202e\""));
    assert_eq!(
        loaded.problems.last().unwrap().message,
        "expected a ratio in [0, 1), got `\\u{1b}[2J\\u{202e}`"
    );
}

#[test]
fn a_directory_is_read_in_order_and_hidden_files_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::fs::create_dir_all(root.join("team/deep")).unwrap();
    std::fs::create_dir_all(root.join(".git")).unwrap();
    let service =
        |name: &str| format!("apiVersion: openslo/v1\nkind: Service\nmetadata: {{name: {name}}}\n");
    std::fs::write(root.join("team/deep/b.yml"), service("b")).unwrap();
    std::fs::write(
        root.join("team/a.json"),
        "{\"apiVersion\":\"openslo/v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"a\"}}",
    )
    .unwrap();
    std::fs::write(root.join("c.yaml"), service("c")).unwrap();
    for ignored in [
        ".c.yaml",
        ".git/d.yaml",
        "README.md",
        "c.yaml~",
        ".c.yaml.swp",
    ] {
        std::fs::write(root.join(ignored), "{{{").unwrap();
    }
    let loaded = load_dir(
        root,
        &LoadOptions {
            generation: 7,
            ..LoadOptions::default()
        },
    );
    assert_eq!(problems(&loaded), "");
    let definitions = loaded.definitions.unwrap();
    assert_eq!((definitions.services.len(), definitions.generation), (3, 7));

    std::fs::write(root.join("team/a.json"), "{").unwrap();
    let loaded = load_dir(root, &LoadOptions::default());
    assert!(loaded.definitions.is_none());
    assert!(
        loaded.problems[0].place.starts_with("team/a.json:"),
        "{:?}",
        loaded.problems
    );

    let missing = load_dir(&root.join("nowhere"), &LoadOptions::default());
    assert!(missing.definitions.is_none() && missing.problems.len() == 1);
    let empty = tempfile::tempdir().unwrap();
    assert!(
        load_dir(empty.path(), &LoadOptions::default())
            .definitions
            .is_some()
    );
}
