//! Every rule of protocol.md is cited by a test, and every citation names a rule that exists.
//!
//! A citation is a comment of rule numbers directly above a `#[test]`, as in `// R7.3 R8.9`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// (section, number) of `R7.3`.
type Rule = (u32, u32);

fn rule(word: &str) -> Option<Rule> {
    let (section, number) = word.strip_prefix('R')?.split_once('.')?;
    Some((section.parse().ok()?, number.parse().ok()?))
}

/// The rules that the protocol defines: their numbers stand in bold.
fn defined() -> BTreeSet<Rule> {
    let text = fs::read_to_string(root().join("core/docs/protocol.md")).expect("the protocol is there");
    let bold = text.split("**").skip(1).step_by(2);
    let mut rules = BTreeSet::new();
    for found in bold.filter_map(rule) {
        assert!(rules.insert(found), "R{}.{} is defined twice", found.0, found.1);
    }
    rules
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// Whether what follows a citation is a test, after attributes and further comments.
fn is_test(following: &[&str]) -> bool {
    let mut lines = following.iter().map(|l| l.trim()).filter(|l| !l.starts_with("//"));
    lines.next().is_some_and(|l| l.starts_with("#[test]"))
}

/// Where each rule is cited.
fn cited() -> BTreeMap<Rule, Vec<String>> {
    let mut files = Vec::new();
    for folder in ["core/src", "core/tests", "tests/tests", "std-adapter/tests", "std-adapter/src"] {
        sources(&root().join(folder), &mut files);
    }
    let mut cited: BTreeMap<Rule, Vec<String>> = BTreeMap::new();
    for path in files {
        let text = fs::read_to_string(&path).expect("a readable source");
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let Some(words) = line.trim().strip_prefix("// ") else { continue };
            let rules: Option<Vec<Rule>> = words.split_whitespace().map(rule).collect();
            for found in rules.unwrap_or_default() {
                if is_test(&lines[i + 1..]) {
                    cited.entry(found).or_default().push(format!("{}:{}", path.display(), i + 1));
                }
            }
        }
    }
    cited
}

#[test]
fn every_rule_of_the_protocol_is_cited_by_a_test_and_every_citation_names_a_rule() {
    let (defined, cited) = (defined(), cited());
    assert!(defined.len() >= 149, "only {} rules were found", defined.len());
    let name = |r: &Rule| format!("R{}.{}", r.0, r.1);
    let uncited: Vec<String> = defined.iter().filter(|r| !cited.contains_key(r)).map(name).collect();
    assert!(uncited.is_empty(), "{} rules without a test: {uncited:?}", uncited.len());
    let unknown: Vec<_> = cited.iter().filter(|(r, _)| !defined.contains(r)).collect();
    assert!(unknown.is_empty(), "citations of rules that do not exist: {unknown:?}");
}
