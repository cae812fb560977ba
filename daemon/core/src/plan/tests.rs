//! Tests of reading, settling and showing plans.

use std::time::Duration;

use proptest::prelude::*;

use super::fake::{KINDS, Vault, good, plan, texts};
use super::*;
use crate::conf::{Problems, Reveal, SettingValue, decode, print};

const RELAY: &str = "pipeline \"news\" {\n  source \"hls\" \"https://x.example/a/b.m3u8\" {\n    timeout \"5s\"\n    retry 3\n  }\n  \
                     sink \"hls\" path=\"/live/news\"\n}\n";

fn messages(problems: &Problems) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_pipeline_is_read_with_its_layers_in_order_and_the_usual_buffer() {
    let plan = good(&[("a.kdl", RELAY)]);
    let news = &plan.pipelines["news"];
    let layers: Vec<_> = news.sources[0].layers.iter().map(|layer| layer.kind()).collect();
    assert_eq!(layers, ["timeout", "retry"]);
    assert_eq!(news.buffer.spec.segments(), 100);
    assert_eq!((&*news.file, news.enabled), ("a.kdl", true));
}

#[test]
fn the_server_is_read_whole() {
    let text = "server {\n listen \"0.0.0.0:80\" \"[::]:80\"\n admin \"0.0.0.0:9090\" { token (env)\"TOKEN\"; }\n \
                drain \"5s\"\n cors \"*\"\n log level=\"debug\" format=\"json\"\n trusted-proxies \"10.0.0.1\"\n \
                tls cert=\"c\" key=\"k\"\n public-url \"https://tv.example\"\n limits { connections 5; headers \"8KiB\"; }\n}";
    let server = good(&[("a.kdl", text)]).server;
    assert_eq!(server.listen.len(), 2);
    assert_eq!(server.admin.token.map(|token| token.expose().to_owned()), Some("hunter2".into()));
    assert_eq!((server.drain, server.log.level), (Duration::from_secs(5), "debug"));
    assert_eq!((server.limits.connections, server.limits.headers.0), (5, 8192));
}

#[test]
fn a_template_gives_its_stages_and_a_pipeline_overrides_by_name() {
    let template = "template \"relay\" {\n source \"hls\" \"{url}\"\n buffer \"memory\" segments=5\n \
                    sink \"hls\" path=\"/live/{name}\"\n sink \"hls\" path=\"/hd/{name}\"\n}";
    let pipelines = "pipeline \"s-1\" template=\"relay\" url=\"http://x.example/\"\n\
                     pipeline \"s-2\" template=\"relay\" url=\"http://y.example/\" { sink \"hls\" path=\"/only/{name}\"; }";
    let plan = good(&[("b.kdl", template), ("a.kdl", pipelines)]);
    let paths = |name: &str| {
        plan.pipelines[name]
            .sinks
            .iter()
            .map(|sink| sink.spec.form().path().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(paths("s-1"), ["/live/s-1", "/hd/s-1"]);
    assert_eq!(paths("s-2"), ["/only/s-2"]);
    assert_eq!(plan.pipelines["s-2"].buffer.spec.segments(), 5);
}

#[test]
fn a_template_in_a_file_that_cannot_be_parsed_is_not_called_unknown() {
    let (_, problems) =
        plan(&[("a.kdl", "template {{{"), ("b.kdl", "pipeline \"x\" template=\"relay\" url=\"u\"")]);
    assert!(problems.iter().all(|one| &*one.place.file.name == "a.kdl"), "{problems:?}");
}

#[test]
fn what_is_shown_whole_reads_as_the_same_plan() {
    let server = "server { admin \"0.0.0.0:1\" { token (env)\"TOKEN\"; }; cors \"https://a.example\"; drain \"90s\"; }\n";
    let plan = good(&[("a.kdl", RELAY), ("b.kdl", server)]);
    let text = print(&show(&plan, Reveal::Whole));
    assert_eq!(good(&[("a.kdl", &text)]), plan);
    let hidden = print(&show(&plan, Reveal::Hidden));
    assert!(!hidden.contains("hunter2") && !hidden.contains("b.m3u8"), "{hidden}");
    good(&[("a.kdl", &hidden)]);
}

fn settled(current: &[(&str, &str)], last: &Good) -> Settled {
    let settled = settle(&texts(current), last, &KINDS, &Vault);
    let held = |name: &str| settled.held_back.contains(name);
    let kept =
        |(name, text): &(String, String)| held(name) && current.contains(&(name.as_str(), text.as_str()));
    if settled.good.files.iter().any(kept) {
        return settled; // pipelines that stay as they are, although their text cannot be read any more
    }
    let (again, problems) = read(&settled.good.files, &KINDS, &Vault);
    assert!(!problems.are_fatal(), "what is in force has no error: {problems:?}");
    assert_eq!(again, settled.good.plan);
    settled
}

fn last(files: &[(&str, &str)]) -> Good {
    Good { files: texts(files), plan: good(files) }
}

const SPORT: &str = "pipeline \"sport\" { source \"file\" \"s.ts\"; sink \"hls\" path=\"/live/sport\"; }";
const SPORT_2: &str = "pipeline \"sport\" { source \"file\" \"s2.ts\"; sink \"hls\" path=\"/live/sport\"; }";

#[test]
fn a_file_that_breaks_keeps_its_last_good_text_and_the_others_change() {
    let before = last(&[("a.kdl", RELAY), ("b.kdl", SPORT)]);
    let after = settled(&[("a.kdl", "pipeline {"), ("b.kdl", SPORT_2), ("c.kdl", "nonsense")], &before);
    assert_eq!(after.good.plan.pipelines["news"], before.plan.pipelines["news"]);
    assert_ne!(after.good.plan.pipelines["sport"], before.plan.pipelines["sport"]);
    assert_eq!(after.held_back.iter().map(|name| &**name).collect::<Vec<_>>(), ["a.kdl", "c.kdl"]);
    assert!(after.problems.are_fatal());
}

#[test]
fn a_file_that_takes_what_another_has_is_held_back_though_the_other_is_blamed() {
    let before = last(&[("b.kdl", SPORT)]);
    let after = settled(&[("a.kdl", SPORT_2), ("b.kdl", SPORT), ("c.kdl", RELAY)], &before);
    assert_eq!(after.good.plan.pipelines["sport"], before.plan.pipelines["sport"]);
    assert!(after.good.plan.pipelines.contains_key("news"), "what has no part in it is applied");
    assert_eq!(after.held_back.len(), 1);
}

#[test]
fn a_template_that_goes_or_wants_more_does_not_stop_the_pipelines_that_use_it() {
    let template = "template \"t\" { source \"hls\" \"{url}\"; sink \"hls\" path=\"/{name}\"; }";
    let wants_more = "template \"t\" { source \"hls\" \"{url}{more}\"; sink \"hls\" path=\"/{name}\"; }";
    let user = "pipeline \"x\" template=\"t\" url=\"http://x.example/\"";
    let before = last(&[("t.kdl", template), ("u.kdl", user)]);
    for current in [&[("u.kdl", user)][..], &[("t.kdl", wants_more), ("u.kdl", user)]] {
        let after = settled(current, &before);
        assert_eq!(after.good.plan, before.plan);
        assert!(after.problems.are_fatal());
    }
}

#[test]
fn a_problem_from_outside_holds_up_no_other_file() {
    let template = "template \"t\" {\n source \"hls\" \"{url}\"\n sink \"hls\" path=\"/{name}\"\n}\n";
    let user = "pipeline \"a\" template=\"t\" url=\"http://o.example/a\"";
    let other = RELAY;
    let before = last(&[("t.kdl", template), ("u.kdl", user)]);
    let now = settled(&[("u.kdl", user), ("z.kdl", other)], &before);
    assert!(now.problems.are_fatal());
    assert_eq!(
        now.good.plan.pipelines.len(),
        before.plan.pipelines.len() + 1,
        "{:?}",
        messages(&now.problems)
    );
    assert!(now.held_back.iter().map(|name| &**name).eq(["u.kdl"]));
    let mended = settled(&[("t.kdl", template), ("u.kdl", user), ("z.kdl", other)], &now.good);
    assert!(!mended.problems.are_fatal() && mended.held_back.is_empty());
    assert_eq!(mended.good.plan, now.good.plan);
}

#[test]
fn without_problems_the_current_texts_are_in_force_and_deleted_files_are_gone() {
    let after = settled(&[("b.kdl", SPORT_2)], &last(&[("a.kdl", RELAY), ("b.kdl", SPORT)]));
    assert_eq!(after.good.plan.pipelines.len(), 1);
    assert!(after.problems.is_empty() && after.held_back.is_empty());
}

#[test]
fn every_documented_example_decodes_and_refuses_an_unknown_property() {
    let problems = crate::plan::compliance(&KINDS);
    assert!(problems.is_empty(), "{problems:#?}");
}

type Drawn = (u8, bool, u8, u8, Option<u8>, u8);

fn pipelines() -> impl Strategy<Value = String> {
    let one = (0..6_u8, any::<bool>(), 0..3_u8, 1..4_u8, proptest::option::of(1..3_u8), 5..8_u8);
    proptest::collection::btree_map(0..6_u8, one, 0..5).prop_map(|all| {
        let show = |(at, (source, enabled, window, retry, timeout, segments)): (u8, Drawn)| {
            let timeout = timeout.map(|secs| format!("timeout \"{secs}s\"")).unwrap_or_default();
            format!(
                "pipeline \"p{at}\" enabled=#{enabled} {{\n source \"hls\" \"http://{source}.example/\" {{ retry {retry}; {timeout}\n}}\n \
                 buffer \"memory\" segments={segments}\n sink \"hls\" path=\"/{at}\" window={window}\n}}\n"
            )
        };
        all.into_iter().map(show).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_a_diff_says_leads_from_one_plan_to_the_other(old in pipelines(), new in pipelines()) {
        let (old, new) = (good(&[("a.kdl", &old)]), good(&[("a.kdl", &new)]));
        let changes = diff(&old, &new);
        let enabled = |plan: &Plan| plan.enabled().map(|one| (one.name.clone(), one.clone())).collect::<std::collections::BTreeMap<_, _>>();
        prop_assert_eq!(apply(&old, &changes.pipelines), enabled(&new));
        prop_assert_eq!(changes.is_empty(), enabled(&old) == enabled(&new));
        prop_assert!(diff(&new, &new).is_empty());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,60}|[\"#/*{}\\\\ \n=();a-z0-9.-]{0,80}") {
        plan(&[("a.kdl", &text)]);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        plan(&[("a.kdl", &String::from_utf8_lossy(&bytes))]);
    }

    #[test]
    fn no_edit_of_a_good_file_makes_settling_panic_or_loop(at in 0..RELAY.len(), with in "\\PC{0,6}") {
        let mut text = RELAY.to_owned();
        text.replace_range(at..at + 1, &with);
        settled(&[("a.kdl", &text), ("b.kdl", SPORT)], &last(&[("a.kdl", RELAY)]));
    }
}

#[test]
fn hostile_nesting_is_a_problem_and_not_a_crash() {
    for piece in [
        "a {", "{", "/*", "/-", "(", "(a)", "a=", "\\", "\"\"\"\n", "#\"", "a \"{", "a;", "/-{", "[",
        "a (b)", "-- ",
    ] {
        let text = piece.repeat(20_000 / piece.len());
        let (_, problems) = plan(&[("a.kdl", &text)]);
        assert!(!problems.is_empty(), "{piece}");
    }
    let (_, problems) = plan(&[("a.kdl", &" ".repeat((1 << 20) + 1))]);
    assert_eq!(messages(&problems), ["a.kdl:1:1: the file is larger than 1024 KiB"]);
}

#[test]
fn the_server_parts_that_differ_are_named() {
    let old = good(&[("a.kdl", "server { drain \"5s\"; }")]);
    let new = good(&[("a.kdl", "server { drain \"6s\"; log level=\"warn\"; }")]);
    assert_eq!(diff(&old, &new).server, [ServerPart::Log, ServerPart::Drain]);
    assert!(decode("a", |_| ()).1.is_empty());
}

const PLUGINS: &str = "plugin \"webhook\" { http \"https://hooks.example\"; kv \"1MiB\"; actions \"restart-source\"; }\n\
                       on \"config.*\" run=\"webhook\" { url \"https://hooks.example/T0K\"; retries 3; }\n";
const WATCHED: &str = "pipeline \"news\" {\n source \"file\" \"a.ts\"\n sink \"hls\" path=\"/live/news\"\n \
                       health \"strict\" warn-below=80 every=\"5s\" weight=0.5\n \
                       on \"stream.*\" \"source.switched\" run=\"webhook\" { url \"https://a.example\"; token (env)\"TOKEN\"; }\n}\n";

#[test]
fn plugins_are_read_with_what_is_written_for_them() {
    let plan = good(&[("a.kdl", PLUGINS), ("b.kdl", WATCHED)]);
    let news = &plan.pipelines["news"];
    assert_eq!(
        (news.health.warn_below, news.health.fail_below, news.health.every),
        (80, 30, Duration::from_secs(5))
    );
    assert!(news.handlers[0].wants("stream.stalled") && !news.handlers[0].wants("config.reloaded"));
    let setting = |key| news.handlers[0].run.settings.get(key).map(|setting| setting.value.clone());
    assert_eq!(setting("token"), Some(SettingValue::Secret("hunter2".to_owned().into())));
    assert_eq!(setting("url"), Some(SettingValue::Text("https://a.example".into())));
    let used: Vec<_> = plan.uses().map(|(of, run)| (of.map(|of| &**of), &*run.plugin)).collect();
    assert_eq!(used, [(None, "webhook"), (Some("news"), "webhook"), (Some("news"), "strict")]);
    assert!(plan.grants(&news.handlers[0].run).kv.0 > 0 && plan.grants(&news.health.run).kv.0 == 0);
    let hidden = print(&show(&plan, Reveal::Hidden));
    assert!(!hidden.contains("hunter2") && !hidden.contains("T0K"), "{hidden}");
    let spelled_out = WATCHED.replace("(env)\"TOKEN\"", "\"open\"");
    let plan = good(&[("a.kdl", PLUGINS), ("b.kdl", &spelled_out)]);
    assert_eq!(good(&[("a.kdl", &print(&show(&plan, Reveal::Whole)))]), plan);
}

#[test]
fn a_change_of_what_watches_a_pipeline_is_made_in_place() {
    let before = good(&[("a.kdl", PLUGINS), ("b.kdl", WATCHED)]);
    let changed = |a: (&str, &str), b: (&str, &str)| {
        let after = good(&[("a.kdl", &PLUGINS.replace(a.0, a.1)), ("b.kdl", &WATCHED.replace(b.0, b.1))]);
        let diff = diff(&before, &after);
        let server: Vec<_> = diff.server.iter().map(|part| part.word()).collect();
        format!("{} {}", diff.pipelines[0], server.join(" "))
    };
    let same = ("", "");
    assert_eq!(changed(same, ("warn-below=80", "warn-below=81")), "retune news (health) ");
    assert_eq!(changed(same, ("weight=0.5", "weight=0.6")), "retune news (health) ");
    assert_eq!(changed(same, ("https://a.", "https://b.")), "retune news (event handlers) ");
    assert_eq!(changed(("retries 3", "retries 4"), same), "keep news on");
    assert_eq!(changed(("1MiB", "2MiB"), same), "keep news plugin");
    assert_eq!(changed(("plugin", "\n\nplugin"), ("pipeline", "\n\npipeline")), "keep news ");
}

#[test]
fn a_template_gives_its_handlers_with_the_variables_of_the_pipeline() {
    let template = "template \"relay\" {\n source \"hls\" \"{url}\"\n sink \"hls\" path=\"/live/{name}\"\n health \"strict\"\n \
                    on \"stream.*\" run=\"webhook\" { url \"https://a.example/{name}\"; }\n}";
    let pipelines = "pipeline \"a\" template=\"relay\" url=\"http://x.example/\"\n\
                     pipeline \"b\" template=\"relay\" url=\"http://y.example/\" { on \"*\" run=\"other\"; }";
    let plan = good(&[("a.kdl", pipelines), ("b.kdl", template)]);
    let [a, b] = ["a", "b"].map(|name| &plan.pipelines[name]);
    let url = a.handlers[0].run.settings.get("url").map(|setting| setting.value.clone());
    assert_eq!(url, Some(SettingValue::Text("https://a.example/a".into())));
    assert_eq!((b.handlers.len(), &*b.handlers[0].run.plugin, &*b.health.run.plugin), (1, "other", "strict"));
}

#[test]
fn handlers_and_grants_of_a_file_whose_secret_is_gone_stay_in_force() {
    let own = "plugin \"hook\" { kv \"1MiB\"; }\non \"*\" run=\"hook\" { token (env)\"GONE\"; }\n";
    let last =
        Good { files: texts(&[("a.kdl", own)]), plan: good(&[("a.kdl", &own.replace("GONE", "TOKEN"))]) };
    let settled = settled(&[("a.kdl", own), ("b.kdl", RELAY)], &last);
    assert!(settled.problems.are_fatal());
    let plan = &settled.good.plan;
    assert_eq!((plan.handlers.len(), plan.plugins.len(), plan.pipelines.len()), (1, 1, 1));
}
