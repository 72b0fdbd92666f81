//! Every mistake of a configuration is told at once, in its place, and no secret is ever shown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::{ByteSize, Problems, Secret, Setting, Sources, Validate, check_settings, load, render};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    name: String,
    mqtt: Mqtt,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    receivers: Vec<Receiver>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Mqtt {
    port: u16,
    #[serde(with = "service::config::duration")]
    keep_alive: Duration,
    max_packet_size: ByteSize,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<Secret>,
    filters: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Receiver {
    url: String,
    #[serde(default)]
    token: Secret,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "gateway".into(),
            mqtt: Mqtt::default(),
            receivers: Vec::new(),
        }
    }
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            port: 1883,
            keep_alive: Duration::from_secs(30),
            max_packet_size: ByteSize::mib(1),
            password: None,
            filters: vec!["a/#".into()],
        }
    }
}

impl Validate for Config {
    fn validate(&self, at: &mut Problems) {
        at.section("mqtt", |at| {
            at.check("port", self.mqtt.port != 0, "it is 0, allowed are 1 to 65535");
            at.check(
                "keep_alive",
                self.mqtt.keep_alive >= Duration::from_secs(5),
                "it is too short, allowed is 5s or more",
            );
        });
        for (n, receiver) in self.receivers.iter().enumerate() {
            at.entry("receivers", n, |at| {
                at.check(
                    "url",
                    receiver.url.starts_with("https://"),
                    "it must start with https://",
                )
            });
        }
    }
}

const SETTINGS: &[Setting] = &[
    Setting {
        path: "name",
        default: "\"gateway\"",
        doc: "Name of this process in logs.",
    },
    Setting {
        path: "mqtt.port",
        default: "1883",
        doc: "TCP port of the broker.\n\n8883 with TLS.",
    },
    Setting {
        path: "mqtt.keep_alive",
        default: "\"30s\"",
        doc: "Ping period.",
    },
    Setting {
        path: "mqtt.max_packet_size",
        default: "\"1MiB\"",
        doc: "Largest packet.",
    },
    Setting {
        path: "mqtt.password",
        default: "# { file = \"/run/secrets/mqtt\" }",
        doc: "Password, if the broker asks.",
    },
    Setting {
        path: "mqtt.filters",
        default: "[\"a/#\"]",
        doc: "Topic filters.",
    },
];

fn env(vars: &[(&str, &str)]) -> BTreeMap<String, String> {
    vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn told(sources: &Sources) -> String {
    load::<Config>(sources).unwrap_err().to_string()
}

#[test]
fn no_source_gives_the_defaults() {
    assert_eq!(load::<Config>(&Sources::new()).unwrap(), Config::default());
}

#[test]
fn all_mistakes_are_told_at_once_each_with_file_line_column_and_key() {
    let text = "nmae = \"x\"\nname = 5\n\n[mqtt]\nport = 70000\nkeep_alive = \"30\"\n  max_packet_size = 1\nfilters = [1]\n\n\
                [[receivers]]\nurl = \"https://ok\"\n[[receivers]]\ntoken = \"t\"\n[[receivers]]\nurl = \"http://plain\"\n";
    let told = told(&Sources::new().file("conf/d.toml", text));
    for line in [
        "has 7 mistakes",
        "conf/d.toml:1:1: nmae: unknown field `nmae`, expected one of `name`, `mqtt`, `receivers`",
        "conf/d.toml:2:8: name: invalid type: integer `5`, expected a string",
        "conf/d.toml:5:8: mqtt.port: invalid value: integer `70000`, expected u16",
        "conf/d.toml:6:14: mqtt.keep_alive: '30' is not a duration",
        "conf/d.toml:7:21: mqtt.max_packet_size: invalid type: integer `1`, expected a size with its unit in quotes",
        "conf/d.toml:8:12: mqtt.filters[0]: invalid type: integer `1`, expected a string",
        "conf/d.toml:12:1: receivers[1]: missing field `url`",
    ] {
        assert!(told.contains(line), "missing: {line}\nin: {told}");
    }
}

#[test]
fn what_serde_cannot_see_is_told_in_its_place_too() {
    let text = "[mqtt]\nport = 0\nkeep_alive = \"1s\"\n[[receivers]]\nurl = \"ftp://x\"\n";
    let told = told(&Sources::new().file("d.toml", text));
    assert!(
        told.contains("d.toml:2:8: mqtt.port: it is 0, allowed are 1 to 65535"),
        "{told}"
    );
    assert!(told.contains("d.toml:3:14: mqtt.keep_alive: it is too short"), "{told}");
    assert!(
        told.contains("d.toml:5:7: receivers[0].url: it must start with https://"),
        "{told}"
    );
}

#[test]
fn a_syntax_error_does_not_hide_the_other_mistakes() {
    let told = told(&Sources::new().file("d.toml", "name = \n[mqtt]\nport = \"x\"\n"));
    assert!(told.contains("d.toml:1:"), "{told}");
    assert!(told.contains("d.toml:3:8: mqtt.port"), "{told}");
}

#[test]
fn the_environment_lies_above_the_files_and_later_files_above_earlier_ones() {
    let sources = Sources::new()
        .file("a.toml", "name = 'a'\n[mqtt]\nport = 1\nkeep_alive = '7s'\n")
        .file("b.toml", "name = 'b'\n[mqtt]\nport = 2\n")
        .env(env(&[
            ("DERMATEL__MQTT__PORT", "3"),
            ("DERMATEL__MQTT__FILTERS", "['x', 'y']"),
            ("DERMATEL__NAME", "12345"),
            ("DERMATEL__MQTT__MAX_PACKET_SIZE", "2MiB"),
            ("PATH", "/bin"),
        ]));
    let config = load::<Config>(&sources).unwrap();
    assert_eq!((config.name.as_str(), config.mqtt.port), ("12345", 3));
    assert_eq!(config.mqtt.keep_alive, Duration::from_secs(7));
    assert_eq!(config.mqtt.max_packet_size, ByteSize::mib(2));
    assert_eq!(config.mqtt.filters, ["x", "y"]);
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    let told = told(&Sources::new().env(env(&[("DERMATEL__MQTT__PROT", "1"), ("DERMATEL__MQTT__PORT", "many")])));
    assert!(
        told.contains("environment DERMATEL__MQTT__PROT: mqtt.prot: unknown field"),
        "{told}"
    );
    assert!(
        told.contains("environment DERMATEL__MQTT__PORT: mqtt.port: invalid type: string"),
        "{told}"
    );
}

#[test]
fn a_secret_comes_from_inline_file_or_variable() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pass"), "from file\n").unwrap();
    let conf = dir.path().join("d.toml").display().to_string();
    let text = "mqtt.password = { file = 'pass' }\n[[receivers]]\nurl = 'https://a'\ntoken = { env = 'TOKEN' }\n\
                [[receivers]]\nurl = 'https://b'\ntoken = 'inline'\n";
    let config = load::<Config>(&Sources::new().file(conf, text).env(env(&[("TOKEN", "from env")]))).unwrap();
    assert_eq!(config.mqtt.password.as_ref().unwrap().reveal(), "from file");
    assert_eq!(config.receivers[0].token.reveal(), "from env");
    assert_eq!(config.receivers[1].token.reveal(), "inline");
    let printed = format!("{config:?} {}", toml::to_string(&config).unwrap());
    assert!(!printed.contains("from ") && !printed.contains("inline"), "{printed}");
    // A password of digits stays the digits that were given.
    let config = load::<Config>(&Sources::new().env(env(&[("DERMATEL__MQTT__PASSWORD", "1_000")]))).unwrap();
    assert_eq!(config.mqtt.password.unwrap().reveal(), "1_000");
}

#[test]
fn a_secret_that_cannot_be_had_is_told_in_its_place_and_no_secret_is_shown() {
    let text = "mqtt.password = { file = '/nonexistent/pass' }\n[[receivers]]\nurl = 'https://a'\ntoken = { env = 'NOPE' }\n\
                [[receivers]]\nurl = 'https://b'\ntoken = 987654\n[[receivers]]\nurl = 'https://c'\ntoken = { hunter2 = 'hunter3' }\n";
    let told = told(&Sources::new().file("d.toml", text));
    assert!(
        told.contains("d.toml:1:") && told.contains("mqtt.password: cannot read secret file /nonexistent/pass"),
        "{told}"
    );
    assert!(
        told.contains("d.toml:4:") && told.contains("receivers[0].token: environment variable NOPE is not set"),
        "{told}"
    );
    assert!(told.contains("receivers[1].token: a secret must be"), "{told}");
    for secret in ["987654", "hunter2", "hunter3"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[test]
fn the_annotated_default_loads_back_to_the_defaults() {
    check_settings::<Config>(SETTINGS).unwrap();
    let text = render(SETTINGS);
    assert!(
        text.contains("# TCP port of the broker.\n#\n# 8883 with TLS.\nport = 1883\n"),
        "{text}"
    );
    assert!(text.contains("# password = { file = \"/run/secrets/mqtt\" }"), "{text}");
}

#[test]
fn a_table_that_forgets_a_key_or_lies_about_a_default_is_found_out() {
    let forgetful: Vec<Setting> = SETTINGS.iter().copied().filter(|s| s.path != "mqtt.port").collect();
    assert_eq!(
        check_settings::<Config>(&forgetful).unwrap_err(),
        "not in the table: mqtt.port"
    );
    let mut lying = SETTINGS.to_vec();
    lying[1].default = "8883";
    assert!(check_settings::<Config>(&lying).unwrap_err().contains("the code says"));
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_the_loader_panic(text in "[a-z\\[\\]{}=\"'#.,0-9 \n]{0,120}", var in "[A-Z_]{0,12}", value in ".{0,20}") {
            let _ = load::<Config>(&Sources::new().file("f", text).env([(format!("DERMATEL__{var}"), value)]));
        }
    }
}
