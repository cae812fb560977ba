//! Tests of the cursor as a decoder uses it.

use std::time::Duration;

use super::*;

type Read = (Option<String>, Option<Duration>, Option<usize>);

fn read(node: &Node<'_>) -> Read {
    let url = node.argument::<String>("URL");
    let timeout = node.property::<Duration>("timeout");
    let parallel = node.child("parallel").and_then(|node| node.argument_within("number", 1..=8));
    (url, timeout, parallel)
}

fn problems(text: &str) -> Vec<String> {
    let (_, problems) = decode(text, read);
    problems.iter().map(|one| format!("{}: {} [{}]", one.place, one.message, one.help)).collect()
}

#[test]
fn a_node_that_is_read_whole_has_no_problem() {
    let (read, problems) = decode("source \"x\" timeout=\"5s\" { parallel 3; }", read);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(read, Some((Some("x".into()), Some(Duration::from_secs(5)), Some(3))));
}

#[test]
fn every_problem_of_a_node_is_reported_at_once_with_its_place() {
    let found = problems("source timeuot=\"5s\" {\n  paralel 3\n  other\n}");
    assert_eq!(
        found,
        [
            "example.kdl:1:1: `source` needs a URL [write a string after `source`]",
            "example.kdl:1:8: unknown property `timeuot` in `source` [did you mean `timeout`?]",
            "example.kdl:2:3: unknown node `paralel` in `source` [did you mean `parallel`?]",
            "example.kdl:3:3: unknown node `other` in `source` [known here: parallel]",
        ]
    );
}

#[test]
fn repeated_entries_and_further_arguments_are_problems() {
    let found = problems("source \"x\" \"y\" timeout=\"5s\" timeout=\"6s\" { parallel 1; parallel 2; }");
    assert_eq!(
        found,
        [
            "example.kdl:1:12: `source` takes no further argument [leave it out]",
            "example.kdl:1:29: `timeout` stands twice on `source` [keep one of them]",
            "example.kdl:1:56: `parallel` stands twice in `source` [keep one of them]",
        ]
    );
}

#[test]
fn values_of_the_wrong_kind_or_out_of_bounds_are_problems() {
    let found = problems("source \"x\" timeout=5 { parallel 9; timeout \"5s\"; }");
    assert_eq!(
        found,
        [
            "example.kdl:1:12: `timeout` of `source` must be a duration, as \"5s\" [give it a unit: \"5s\", \"5ms\"]",
            "example.kdl:1:33: the number of `parallel` is out of bounds [it goes from 1 to 8]",
            "example.kdl:1:36: unknown node `timeout` in `source` [`timeout` is a property here: write timeout= on the line of `source`]",
        ]
    );
}

#[test]
fn a_number_that_its_type_cannot_hold_is_told_the_bounds_of_the_node() {
    let found = problems("source \"x\" { parallel -1; }");
    let expected = ["example.kdl:1:23: the number of `parallel` is out of bounds [it goes from 1 to 8]"];
    assert_eq!(found, expected);
}

#[test]
fn a_slip_is_explained_and_the_rest_is_read_all_the_same() {
    let found = problems("source http://x/y timeout=5s {\n  paralel 3\n}");
    assert_eq!(
        found,
        [
            "example.kdl:1:8: this URL is not quoted: what follows // is a comment [quote it: \"http://x/y\"]",
            "example.kdl:1:27: this is neither a number nor a quoted text [quote it: \"5s\"]",
            "example.kdl:2:3: unknown node `paralel` in `source` [did you mean `parallel`?]",
        ]
    );
}

struct Vault;

impl Lookup for Vault {
    fn env(&self, name: &str) -> Result<String, String> {
        if name == "TOKEN" { Ok("hunter2".into()) } else { Err("it is not set".into()) }
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("no such file".into())
    }
}

#[test]
fn secrets_come_from_the_lookup_and_a_missing_one_is_a_problem_at_its_place() {
    let problems = Collector::default();
    let text = "token (env)\"TOKEN\"\ntoken (env)\"TKN\"\ntoken (file)\"/x\"\ntoken (u8)\"a\"";
    let document = Document::parse("a.kdl", text, &problems).unwrap();
    let scope =
        Scope { file: &document.file, problems: &problems, lookup: &Vault, variables: &[], later: &[] };
    let read: Vec<_> = {
        let root = document.root(scope);
        root.children("token").iter().map(|node| node.argument::<Secret>("token")).collect()
    };
    assert_eq!(read[0].as_ref().map(Secret::expose), Some("hunter2"));
    assert_eq!(read[1..], [None, None, None]);
    let found: Vec<_> = problems.finish().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "a.kdl:2:7: the variable `TKN` cannot be read",
            "a.kdl:3:7: the file `/x` cannot be read",
            "a.kdl:4:7: this annotation means nothing here",
        ]
    );
}

#[test]
fn a_wrong_value_of_a_variable_is_shown_where_it_was_given() {
    let problems = Collector::default();
    let document = Document::parse("t.kdl", "source \"{url}\"", &problems).unwrap();
    let given = Document::parse("p.kdl", "pipeline url=\"ftp://x/\"", &problems).unwrap();
    let place = Place::new(given.file.clone(), 9..23, "");
    let variables = [Variable { name: "url".into(), value: "ftp://x/".into(), place }];
    let scope = Scope {
        file: &document.file,
        problems: &problems,
        lookup: &NoSecrets,
        variables: &variables,
        later: &[],
    };
    document.root(scope).child("source").map(|node| node.argument::<HttpUrl>("URL"));
    let found: Vec<_> = problems.finish().iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("p.kdl:1:10: the URL of `source` must be an http or https URL"),
        "{found:?}"
    );
    assert!(found[0].ends_with("(read here: t.kdl:1:8)"), "{found:?}");
}
