//! The shapes of deploy/ are checked by the tools of those who made the formats: systemd, hadolint, helm, the schemas of
//! Kubernetes and of compose files, amtool. No container engine and no cluster runs here: that they start is not shown.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tests::{Stack, StackSpec, Webhook, dermatel, free_port, python, workspace_root};

/// Highest exposure that `systemd-analyze security` may find, in tenths: 2.0 of 10.
const EXPOSURE_TENTHS: &str = "20";
const KUBERNETES: &str = "1.35";

fn deploy(path: &str) -> PathBuf {
    workspace_root().join("deploy").join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}: `cargo xtask test` installs it"))
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

/// A tool beside the tests' Python.
fn tool(name: &str) -> Command {
    Command::new(python().with_file_name(name))
}

/// Runs a script of tests/deploy; its answer is JSON.
fn script(name: &str, file: &Path) -> Value {
    let out = run(Command::new(python())
        .arg(workspace_root().join("tests/deploy").join(name))
        .arg(file));
    assert!(out.status.success(), "{}: {}", file.display(), said(&out));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Checks a configuration that is made for another place: with the shipped registry, and secrets that exist.
fn assert_config_is_fine(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let here = |name: &str| folder.path().join(name).display().to_string();
    let text = text
        .replace("/etc/dermatel/registry", "registry")
        .replace("/run/secrets/", &here(""));
    tests::copy_folder(&deploy("registry"), &folder.path().join("registry"));
    for name in text.split(&here("")).skip(1).filter_map(|rest| rest.split('"').next()) {
        std::fs::create_dir_all(Path::new(&here(name)).parent().unwrap()).unwrap();
        std::fs::write(here(name), "a secret of the test").unwrap();
    }
    std::fs::write(here("dermatel.toml"), &text).unwrap();
    let out = run(Command::new(dermatel()).args(["config", "check", &here("dermatel.toml")]));
    assert!(
        out.status.success() && said(&out).contains("fine"),
        "{}\n{text}",
        said(&out)
    );
}

#[test]
fn the_unit_is_understood_by_systemd_and_exposes_little() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("dermatel.service");
    // The program is not installed here: the one that was built stands for it.
    let text = read(&deploy("systemd/dermatel.service"));
    assert_eq!(text.matches("/usr/bin/dermatel ").count(), 2);
    std::fs::write(
        &unit,
        text.replace("/usr/bin/dermatel ", &format!("{} ", dermatel().display())),
    )
    .unwrap();
    let verified = run(Command::new("systemd-analyze").arg("verify").arg(&unit));
    assert!(
        verified.status.success() && said(&verified).is_empty(),
        "{}",
        said(&verified)
    );
    let threshold = format!("--threshold={EXPOSURE_TENTHS}");
    let exposure = run(Command::new("systemd-analyze")
        .args(["security", "--offline=true", &threshold])
        .arg(&unit));
    assert!(exposure.status.success(), "{}", said(&exposure));
}

#[test]
fn the_package_names_files_that_exist_and_a_configuration_that_is_fine() {
    let folder = workspace_root().join("crates/dermatel");
    let manifest: toml::Table = read(&folder.join("Cargo.toml")).parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let mut installed = BTreeSet::new();
    for asset in deb["assets"].as_array().unwrap() {
        let [from, to] = [0, 1].map(|at| asset[at].as_str().unwrap());
        installed.insert(format!("/{to}"));
        // What cargo builds is not here.
        if from.starts_with("target/release/") {
            assert_eq!(from, "target/release/dermatel");
            continue;
        }
        let path = folder.join(from);
        let pattern = path.file_name().unwrap().to_str().unwrap();
        let files = std::fs::read_dir(path.parent().unwrap()).unwrap_or_else(|e| panic!("{from}: {e}"));
        let ending = pattern.strip_prefix('*').unwrap_or(pattern);
        let found = files.filter(|file| file.as_ref().unwrap().file_name().to_str().unwrap().ends_with(ending));
        assert!(found.count() > 0, "{from} is nothing");
    }
    for file in deb["conf-files"].as_array().unwrap() {
        assert!(installed.contains(file.as_str().unwrap()), "{file} is not installed");
    }
    let unit = folder.join(deb["systemd-units"]["unit-scripts"].as_str().unwrap());
    assert!(unit.join("dermatel.service").is_file());
    for name in ["postinst", "postrm"] {
        let script = folder.join(deb["maintainer-scripts"].as_str().unwrap()).join(name);
        assert!(
            read(&script).contains("\n#DEBHELPER#\n"),
            "{name} drops what belongs to the unit"
        );
        assert!(run(Command::new("sh").arg("-n").arg(&script)).status.success());
    }
    assert_config_is_fine(&read(&deploy("debian/dermatel.toml")));
}

#[test]
fn the_compose_file_is_valid_pinned_and_names_what_exists() {
    let compose = script("compose.py", &deploy("compose.yaml"));
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        let image = service["image"].as_str().unwrap();
        let tag = image.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        assert!(
            tag.contains(|c: char| c.is_ascii_digit()),
            "{name}: {image} is not pinned"
        );
        for key in ["healthcheck", "mem_limit", "restart", "networks"] {
            assert!(!service[key].is_null(), "{name} has no {key}");
        }
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let from = volume.as_str().unwrap().split(':').next().unwrap();
            let Some(file) = from.strip_prefix("./") else {
                assert!(compose["volumes"].get(from).is_some(), "{name}: no volume {from}");
                continue;
            };
            // Secrets are never here; the dashboards' folder is checked once it is there.
            let elsewhere = file.starts_with("secrets/") || file.starts_with("grafana/") && !deploy("grafana").exists();
            assert!(elsewhere || deploy(file).exists(), "{name}: deploy/{file} is missing");
        }
        for secret in service["secrets"].as_array().into_iter().flatten() {
            assert!(
                compose["secrets"].get(secret.as_str().unwrap()).is_some(),
                "{name}: {secret}"
            );
        }
    }
    for (name, secret) in compose["secrets"].as_object().unwrap() {
        assert_eq!(
            secret["file"],
            format!("./secrets/{name}"),
            "secrets stand in files outside the repository"
        );
    }
    let config = read(&deploy("compose/dermatel.toml"));
    let prometheus = read(&deploy("prometheus/prometheus.yml"));
    for (what, host) in [
        (&config, "host = \"mosquitto\""),
        (&config, "http://influxdb:8086"),
        (&config, "http://alertmanager:9093"),
        (&prometheus, "dermatel:9464"),
        (&prometheus, "alertmanager:9093"),
        (&prometheus, "influxdb:8086"),
    ] {
        assert!(what.contains(host), "{host}");
        let service = host.trim_start_matches("http://").trim_start_matches("host = \"");
        let service = service.split([':', '"']).next().unwrap();
        assert!(services.contains_key(service), "no service {service}");
    }
    assert_config_is_fine(&config);
}

#[test]
fn the_alertmanagers_configuration_is_one() {
    let out = run(Command::new("amtool")
        .arg("check-config")
        .arg(deploy("alertmanager/alertmanager.yml")));
    assert!(out.status.success(), "{}", said(&out));
}

#[test]
fn the_image_is_built_by_the_book_and_runs_as_nobody() {
    let file = deploy("docker/Dockerfile");
    let linted = run(tool("hadolint").arg(&file));
    assert!(linted.status.success(), "{}", said(&linted));
    let text = read(&file);
    let instructions = |name: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        lines.map(|rest| rest.trim().to_owned()).collect()
    };
    assert_eq!(instructions("USER ").last().unwrap(), "65532:65532");
    assert!(instructions("ADD ").is_empty());
    let bases = instructions("FROM ");
    assert!(bases.last().unwrap().contains("distroless"), "{bases:?}");
    assert!(
        bases.iter().all(|base| base.contains(':') && !base.contains(":latest")),
        "{bases:?}"
    );
    let health = instructions("HEALTHCHECK ").pop().unwrap();
    assert!(health.contains("\"/usr/bin/dermatel\", \"health\""), "{health}");
    for from in instructions("COPY ")
        .iter()
        .filter(|copy| !copy.starts_with("--from") && !copy.starts_with(". "))
    {
        let from = from.split(' ').next().unwrap();
        assert!(workspace_root().join(from).exists(), "{from} is missing");
        let top = from.split('/').next().unwrap();
        assert!(
            read(&workspace_root().join(".dockerignore")).contains(&format!("!{top}\n")),
            "{from} is ignored"
        );
    }
}

fn helm(args: &[&str]) -> Output {
    run(tool("helm").args(args).env("HELM_CACHE_HOME", std::env::temp_dir()))
}

/// The chart's objects with these values, each of which is what Kubernetes' schema says.
fn rendered(folder: &Path, name: &str, values: Option<&Path>) -> Vec<Value> {
    let chart = deploy("helm/dermatel").display().to_string();
    let mut args = vec!["template", "fleet", &chart];
    let values = values.map(|values| values.display().to_string());
    if let Some(values) = &values {
        args.extend(["--values", values]);
    }
    let out = helm(&args);
    assert!(out.status.success(), "{}", said(&out));
    let file = folder.join(name);
    std::fs::write(&file, &out.stdout).unwrap();
    let valid = run(tool("kubernetes-validate")
        .args(["--strict", "-k", KUBERNETES])
        .arg(&file));
    assert!(valid.status.success(), "{}", said(&valid));
    script("yaml_to_json.py", &file).as_array().unwrap().clone()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

#[test]
fn the_chart_renders_to_what_kubernetes_knows_and_its_pods_are_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let chart = deploy("helm/dermatel").display().to_string();
    let linted = helm(&["lint", "--strict", &chart]);
    assert!(linted.status.success(), "{}", said(&linted));
    let apart = workspace_root().join("tests/deploy/apart.yaml");
    for (name, values, sets) in [("one.yaml", None, 1), ("apart.yaml", Some(apart.as_path()), 3)] {
        let objects = rendered(folder.path(), name, values);
        for kind in ["StatefulSet", "PodDisruptionBudget", "NetworkPolicy"] {
            assert_eq!(of_kind(&objects, kind).len(), sets, "{name}: {kind}");
        }
        for set in of_kind(&objects, "StatefulSet") {
            let pod = &set["spec"]["template"]["spec"];
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            assert_eq!(pod["automountServiceAccountToken"], false);
            let container = &pod["containers"][0];
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
            assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
            assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
            assert!(container["resources"]["limits"]["memory"].is_string());
            let claim = &set["spec"]["volumeClaimTemplates"][0];
            assert_eq!(claim["metadata"]["name"], "data");
            assert_eq!(
                set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"],
                "Retain"
            );
            for budget in of_kind(&objects, "PodDisruptionBudget") {
                assert_eq!(budget["spec"]["maxUnavailable"], 1);
            }
        }
    }
}

#[test]
fn the_charts_pods_get_their_own_shards_and_a_configuration_that_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    let apart = workspace_root().join("tests/deploy/apart.yaml");
    let objects = rendered(folder.path(), "apart.yaml", Some(&apart));
    let map = |objects: &[Value], name: &str| -> Value {
        let mut maps = of_kind(objects, "ConfigMap").into_iter();
        maps.rfind(|map| map["metadata"]["name"] == name).unwrap()["data"].clone()
    };
    for process in ["gateway", "ingestor", "alerting"] {
        let files = map(&objects, &format!("fleet-{process}"));
        assert_eq!(files.as_object().unwrap().len(), 2);
        for (file, shards) in [("dermatel-0.toml", "\"0-31\""), ("dermatel-1.toml", "\"32-63\"")] {
            let config = files[file].as_str().unwrap();
            assert!(
                process == "gateway" || config.contains(&format!("\nshards = {shards}\n")),
                "{config}"
            );
            assert_config_is_fine(config);
        }
    }
    assert!(
        map(&objects, "fleet-registry")
            .get("tenants__aurora__tenant.toml")
            .is_some()
    );
    let names = |objects: &[Value]| -> Vec<String> {
        let services = of_kind(objects, "Service").into_iter();
        let names = services.map(|service| service["metadata"]["name"].as_str().unwrap().to_owned());
        names.filter(|name| name.ends_with("-console")).collect()
    };
    // A session is in one process's memory, and each instance has clinics of its own: an address for each.
    assert_eq!(
        names(&objects),
        ["fleet-alerting-0-console", "fleet-alerting-1-console"]
    );
    let one = rendered(folder.path(), "one.yaml", None);
    assert!(names(&one).is_empty());
    assert_config_is_fine(map(&one, "fleet-all")["dermatel-0.toml"].as_str().unwrap());
}

#[test]
fn the_charts_pods_follow_the_registry_of_the_one_that_leads() {
    let folder = tempfile::tempdir().unwrap();
    let apart = workspace_root().join("tests/deploy/apart.yaml");
    let objects = rendered(folder.path(), "apart.yaml", Some(&apart));
    let (mut leaders, mut followers) = (Vec::new(), 0);
    for map in of_kind(&objects, "ConfigMap") {
        let name = map["metadata"]["name"].as_str().unwrap();
        for (file, text) in map["data"].as_object().unwrap() {
            if !file.starts_with("dermatel-") {
                continue;
            }
            let config: toml::Table = text.as_str().unwrap().parse().unwrap();
            let secret = |at: &toml::Value| at["file"].as_str().map(str::to_owned);
            if let Some(from) = config["node"].get("registry_from") {
                followers += 1;
                // The pod's name at the Service that names the pods.
                let url = "http://fleet-alerting-1.fleet-alerting:9464/v1/registry/lines";
                assert_eq!(from["url"].as_str(), Some(url), "{name} {file}");
                let authorization = secret(&from["authorization"]);
                assert_eq!(
                    authorization.as_deref(),
                    Some("/run/secrets/registry-leader/authorization")
                );
            } else {
                assert_eq!(config["node"]["registry_leads"].as_bool(), Some(true), "{name} {file}");
                let token = secret(&config["http"]["token"]);
                assert_eq!(token.as_deref(), Some("/run/secrets/registry-leader/token"));
                leaders.push(format!("{name} {file}"));
            }
        }
    }
    assert_eq!(leaders, ["fleet-alerting dermatel-1.toml"]);
    assert_eq!(followers, 5);
    for set in of_kind(&objects, "StatefulSet") {
        let mounts = &set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"];
        let mounts = mounts.as_array().unwrap().iter();
        let at = mounts.filter(|mount| mount["mountPath"] == "/run/secrets/registry-leader");
        assert_eq!(at.count(), 1);
    }
    // Nobody else is let in to the others.
    for policy in of_kind(&objects, "NetworkPolicy") {
        let name = policy["metadata"]["name"].as_str().unwrap();
        let (ingress, egress) = (&policy["spec"]["ingress"], &policy["spec"]["egress"]);
        let asked = ingress.as_array().unwrap().iter();
        let asked = asked.filter(|rule| rule["ports"][0]["port"] == "http").count();
        assert_eq!(asked, usize::from(name == "fleet-alerting"), "{name}");
        let leader = &egress[2]["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"];
        assert_eq!(leader, "alerting", "{name}");
    }
    let refused = |set: &str| {
        let chart = deploy("helm/dermatel").display().to_string();
        let out = helm(&[
            "template",
            "fleet",
            &chart,
            "--values",
            apart.to_str().unwrap(),
            "--set",
            set,
        ]);
        assert!(!out.status.success(), "{set}");
        said(&out)
    };
    for (set, because) in [
        ("registryLeads.process=gateway", "only alerting leads"),
        ("registryLeads.process=nobody", "there is no process nobody"),
        ("registryLeads.ordinal=2", "has 2 replicas"),
        ("registryLeads.secret=", "secret"),
        (
            "config=[node]\nregistry_leads = true\n[http]\n",
            "take registry_leads and registry_from out",
        ),
        ("config=[http]\n", "needs a line [node]"),
    ] {
        let said = refused(set);
        assert!(said.contains(because), "{set}: {said}");
    }
}

#[test]
fn the_chart_refuses_values_that_cannot_work() {
    let chart = deploy("helm/dermatel").display().to_string();
    for (set, because) in [
        (
            "processes[0].replicas=2,processes[0].name=all,processes[0].command=up",
            "replicas",
        ),
        ("image.tag=latest", "tag"),
        ("persistance.size=1Gi", "persistance"),
        ("terminationGracePeriodSeconds=5", "terminationGracePeriodSeconds"),
    ] {
        let out = helm(&["template", "fleet", &chart, "--set", set]);
        assert!(
            !out.status.success() && said(&out).contains(because),
            "{set}: {}",
            said(&out)
        );
    }
    let uneven =
        "processes[0].name=a,processes[0].command=ingestor,processes[0].replicas=2,processes[0].perOrdinal[0]=x";
    let out = helm(&["template", "fleet", &chart, "--set", uneven]);
    assert!(
        !out.status.success() && said(&out).contains("1 entries for 2 replicas"),
        "{}",
        said(&out)
    );
}

#[test]
fn health_is_an_exit_code() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&StackSpec::plain(&webhook));
    let http = stack.http.to_string();
    // The command has a patience of its own, which a slow machine may exhaust.
    let says = |stack: &Stack, wanted: &str| {
        tests::wait_for(wanted, tests::SOON, || {
            let (well, said) = stack.command(&["health", "--http", &http]);
            if said.contains(wanted) { Ok(well) } else { Err(said) }
        })
    };
    assert!(says(&stack, "ready"));
    assert_eq!(stack.stop(), Some(0));
    let (ready, said) = stack.command(&["health", "--http", &http]);
    assert!(!ready && said.contains("nobody answers"), "{said}");
    // Alive and not ready: nobody would be paged.
    let text = read(&stack.folder().join("dermatel.toml"));
    stack.edit(
        "dermatel.toml",
        &text[text.find("[[alerting.receivers]]").unwrap()..],
        "",
    );
    stack.spawn();
    tests::wait_for("the process", tests::SOON, || {
        let (alive, said) = stack.command(&["health", "--alive", "--http", &http]);
        if alive { Ok(()) } else { Err(said) }
    });
    assert!(!says(&stack, "alerting_pages"));
    let nowhere = format!("127.0.0.1:{}", free_port());
    assert!(!stack.command(&["health", "--alive", "--http", &nowhere]).0);
}
