//! Good files with seeded damage.

use super::*;

/// A small generator (SplitMix64): the same damage in every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

fn damage(text: &str, random: &mut Seeded) -> Vec<u8> {
    const BITS: [&str; 22] = [
        "\t", ":", "- ", "[", "]", "{", "}", "&a ", "*a", "!", "!!str ", "\"", "'", "|", "\n",
        "---\n", "null", "-1", "1e400", "\0", "\u{202e}", "<<: ",
    ];
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] = random.below(256) as u8,
            1 => drop(bytes.drain(at..(at + 1 + random.below(20)).min(bytes.len()))),
            2 => bytes.truncate(at.max(1)),
            3 => {
                let copy: Vec<u8> = bytes[at..(at + random.below(60)).min(bytes.len())].to_vec();
                let to = random.below(bytes.len());
                drop(bytes.splice(to..to, copy));
            }
            _ => drop(bytes.splice(at..at, BITS[random.below(BITS.len())].bytes())),
        }
    }
    bytes
}

/// Scenario: 3 x 500 damaged files (bytes changed, cut, doubled, YAML signs put in).
/// Guarantees: no panic; errors carry file, line and column that are inside the file; definitions come exactly when
/// there is no error; the second reading gives the same.
#[test]
fn damaged_files_give_places_and_never_panic() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/slos");
    let read = |name: &str| std::fs::read_to_string(examples.join(name)).unwrap();
    let mut random = Seeded(7);
    let mut refused = 0;
    for text in [GOOD.to_owned(), read("checkout.yaml"), read("alerts.yaml")] {
        for _ in 0..500 {
            let bytes = damage(&text, &mut random);
            let source = Source {
                name: "a.yaml".to_owned(),
                bytes,
            };
            let sources = [source];
            let loaded = load_sources(&sources, &LoadOptions::default());
            let lines = sources[0]
                .bytes
                .iter()
                .filter(|&&byte| byte == b'\n' || byte == b'\r')
                .count()
                + 1;
            for problem in &loaded.problems {
                let parts: Vec<&str> = problem.place.split(':').collect();
                let [file, line, column] = parts.as_slice() else {
                    panic!("{problem:?}")
                };
                assert_eq!(*file, "a.yaml");
                assert!(
                    (1..=lines + 1).contains(&line.parse().unwrap()),
                    "{problem:?} of {lines} lines"
                );
                assert!(column.parse::<usize>().unwrap() >= 1);
                assert!(!problem.message.is_empty());
            }
            let has_error = loaded.problems.iter().any(|problem| problem.is_error);
            assert_eq!(loaded.definitions.is_none(), has_error);
            assert_eq!(load_sources(&sources, &LoadOptions::default()), loaded);
            refused += usize::from(has_error);
        }
    }
    assert!(
        (300..1500).contains(&refused),
        "{refused} of 1500 were refused"
    );
}
