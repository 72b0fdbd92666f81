//! Changes by command: the same as editing the files, whole or not at all, and gone once the files say them.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use registry::{Book, ChangeError, Day, DeviceState, LoadReason, NewDevice, Order, Registry, Row};
use telemetry::{ClinicId, DeviceKey, UnixMicros};

use crate::common::{DEVICES, PEN, TENANT, key};

/// A folder with a registry of two clinics and one pen at north, and its journal.
pub(crate) struct Fleet {
    folder: tempfile::TempDir,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let own = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        own.write("registry.toml", "version = 3\n");
        own.write("models/pen.toml", PEN);
        let south = "[[clinic]]\nid = \"south\"\nname = \"South\"\ntime_zone = \"Europe/Rome\"\n\
             [[clinic.override]]\nkind = \"pen\"\nlimits = { zone_depth_max_um = { cheek = 700 } }\n";
        own.write("tenants/acme/tenant.toml", &format!("{TENANT}{south}"));
        own.write("tenants/acme/devices.toml", DEVICES);
        own
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.files().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn files(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.path().join("registry.journal")
    }

    /// As a process that starts now finds it.
    pub(crate) fn open(&self) -> Book {
        Book::open(&self.files(), &self.journal()).unwrap().book
    }
}

pub(crate) fn clinic(name: &str) -> ClinicId {
    ClinicId::new(name).unwrap()
}

pub(crate) fn pen(id: &str, at: &str) -> NewDevice {
    NewDevice {
        tenant: "acme".parse().unwrap(),
        id: id.parse().unwrap(),
        clinic: clinic(at),
        model: "pen".parse().unwrap(),
        serial: format!("S-{id}").parse().unwrap(),
        expected_since: Some("2026-12-01".parse::<Day>().unwrap()),
        secret_sha256: Some(registry::Digest(registry::sha256(id.as_bytes()))),
        certificate_sha256: None,
        certificate_by_name: false,
    }
}

pub(crate) fn add(id: &str, at: &str) -> Order {
    Order::Add {
        list: "command".to_owned(),
        rows: vec![Row {
            line: 1,
            device: pen(id, at),
        }],
    }
}

fn move_to(id: &str, to: &str) -> Order {
    Order::Move {
        device: key(&format!("acme/{id}")),
        to: clinic(to),
    }
}

pub(crate) fn change(book: &Book, order: &Order) -> Result<registry::Done, ChangeError> {
    book.change(UnixMicros(1), ("ana", "moved house"), order, |_| {})
}

/// What the files would say.
#[derive(Clone)]
struct Edited(BTreeMap<String, (String, DeviceState)>);

impl Edited {
    fn new() -> Self {
        Self(BTreeMap::from([(
            "pen-1".to_owned(),
            ("north".to_owned(), DeviceState::Active),
        )]))
    }

    /// What an order means, as a person would edit the files.
    fn edit(&mut self, order: &Order) -> bool {
        let known = |edited: &Self, device: &DeviceKey| edited.0.get(device.device.as_str()).cloned();
        let (id, row) = match order {
            Order::Add { rows, .. } => {
                let device = &rows[0].device;
                if known(self, &device.key()).is_some() {
                    return false;
                }
                (device.id.to_string(), (device.clinic.to_string(), DeviceState::Active))
            }
            Order::Move { device, to } => match known(self, device) {
                Some((at, DeviceState::Active)) if at != to.as_str() => {
                    (device.device.to_string(), (to.to_string(), DeviceState::Active))
                }
                _ => return false,
            },
            Order::Retire { device } | Order::Restore { device } => {
                let to = match order {
                    Order::Retire { .. } => DeviceState::Retired,
                    _ => DeviceState::Active,
                };
                match known(self, device) {
                    Some((at, state)) if state != to => (device.device.to_string(), (at, to)),
                    _ => return false,
                }
            }
        };
        self.0.insert(id, row);
        true
    }

    fn text(&self) -> String {
        let rows = self.0.iter().map(|(id, (at, state))| {
            let rest = match id.as_str() {
                "pen-1" => "serial = \"P-1\"".to_owned(),
                id => {
                    let digest = registry::Digest(registry::sha256(id.as_bytes()));
                    format!("serial = \"S-{id}\", expected_since = 2026-12-01, secret_sha256 = \"{digest}\"")
                }
            };
            format!(
                "  {{ id = \"{id}\", clinic = \"{at}\", model = \"pen\", {rest}, state = \"{}\" }},\n",
                state.as_str()
            )
        });
        format!("device = [\n{}]\n", rows.collect::<String>())
    }

    /// The registry of files that say so.
    fn registry(&self) -> Registry {
        let fleet = Fleet::new();
        fleet.write("tenants/acme/devices.toml", &self.text());
        Registry::load(&fleet.files()).unwrap()
    }
}

fn assert_same(one: &Registry, other: &Registry) {
    let devices = |registry: &Registry| registry.devices().cloned().collect::<Vec<_>>();
    assert_eq!(devices(one), devices(other));
    for device in one.devices() {
        assert_eq!(one.limits(&device.key), other.limits(&device.key));
        assert_eq!(one.policy(&device.key), other.policy(&device.key));
    }
}

fn any_order() -> impl Strategy<Value = Order> {
    let id = prop_oneof!["pen-1", "pen-2", "pen-3"];
    let at = prop_oneof!["north", "south"];
    (0..4u8, id, at).prop_map(|(what, id, at)| match what {
        0 => add(&id, &at),
        1 => move_to(&id, &at),
        2 => Order::Retire {
            device: key(&format!("acme/{id}")),
        },
        _ => Order::Restore {
            device: key(&format!("acme/{id}")),
        },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_sequence_of_changes_equals_editing_the_files_also_when_those_follow_half_way(
        orders in proptest::collection::vec(any_order(), 0..16), follow in any::<prop::sample::Index>(),
    ) {
        let fleet = Fleet::new();
        let book = fleet.open();
        let mut edited = Edited::new();
        let mut states = vec![edited.clone()];
        for order in &orders {
            let possible = edited.edit(order);
            prop_assert_eq!(change(&book, order).is_ok(), possible, "{:?}", order);
            states.push(edited.clone());
        }
        let wanted = edited.registry();
        assert_same(&book.shared().current(), &wanted);
        assert_same(&fleet.open().shared().current(), &wanted);
        // Somebody edits the files up to some change: nothing of the fleet moves, now and after a restart.
        fleet.write("tenants/acme/devices.toml", &follow.get(&states).text());
        book.reload(|_| {}).unwrap();
        assert_same(&book.shared().current(), &wanted);
        let folded = book.fold(UnixMicros(2), "ana", "in the files").unwrap();
        assert_same(&book.shared().current(), &wanted);
        assert_same(&fleet.open().shared().current(), &wanted);
        for left in &folded.left {
            prop_assert!(!folded.gone.contains(&left.device));
        }
        // And to the end: then the journal says nothing any more.
        fleet.write("tenants/acme/devices.toml", &edited.text());
        book.reload(|_| {}).unwrap();
        prop_assert!(book.fold(UnixMicros(3), "ana", "in the files").unwrap().left.is_empty());
        prop_assert!(book.changes().iter().all(|(change, _)| change.steps.is_empty()));
        assert_same(&fleet.open().shared().current(), &wanted);
    }

    #[test]
    fn arbitrary_text_as_a_list_never_panics(text in "(?s).{0,200}") {
        let _ = registry::import::read_csv("fleet.csv", &text);
        let _ = registry::import::read_csv("fleet.csv", &format!("tenant,id,clinic,model,serial\n{text}"));
    }
}

#[test]
fn a_change_that_would_break_the_registry_is_refused_whole_and_says_why() {
    let fleet = Fleet::new();
    let book = fleet.open();
    let version = book.shared().current().version().clone();
    let refused = |order: &Order| change(&book, order).unwrap_err().to_string();
    let text = refused(&move_to("pen-1", "west"));
    assert!(
        text.contains("tenant acme has no clinic west; its clinics are: north, south"),
        "{text}"
    );
    assert!(refused(&move_to("pen-9", "south")).contains("has no device acme/pen-9"));
    assert!(refused(&move_to("pen-1", "north")).contains("stands at north already"));
    let mut rows = vec![
        Row {
            line: 2,
            device: pen("pen-2", "north"),
        },
        Row {
            line: 3,
            device: pen("pen-3", "north"),
        },
    ];
    rows[1].device.model = "laser".parse().unwrap();
    let text = refused(&Order::Add {
        list: "fleet.csv".to_owned(),
        rows: rows.clone(),
    });
    assert!(
        text.contains("fleet.csv:3: device.model: there is no models/laser.toml"),
        "{text}"
    );
    rows[1].device = pen("pen-2", "south");
    let text = refused(&Order::Add {
        list: "fleet.csv".to_owned(),
        rows,
    });
    assert!(text.contains("fleet.csv:3: acme/pen-2: is entered although"), "{text}");
    assert!(matches!(
        book.change(UnixMicros(1), (" ", "why"), &move_to("pen-1", "south"), |_| {}),
        Err(ChangeError::Who)
    ));
    assert_eq!(book.shared().current().version(), &version, "nothing was changed");
    assert!(book.changes().is_empty());
}

#[test]
fn a_row_that_says_something_else_than_the_journal_is_a_fault_that_says_what_to_do_and_the_old_fleet_stays() {
    let fleet = Fleet::new();
    let book = fleet.open();
    change(&book, &move_to("pen-1", "south")).unwrap();
    change(&book, &add("pen-2", "north")).unwrap();
    let cases = [
        (
            DEVICES.replace("north", "east"),
            "was moved to south by command, and tenants/acme/devices.toml:3 says east",
        ),
        (
            DEVICES.replace(
                "]",
                "  { id = \"pen-2\", clinic = \"north\", model = \"pen\", serial = \"S-7\" },\n]",
            ),
            "has a row for it with another serial",
        ),
        ("device = []\n".to_owned(), "the files have no row for it any more"),
    ];
    for (text, wanted) in cases {
        fleet.write("tenants/acme/devices.toml", &text);
        let errors = book.reload(|_| {}).unwrap_err();
        assert!(errors.to_string().contains(wanted), "{errors}");
        assert!(errors.problems.iter().any(|p| p.file == "registry.journal"), "{errors}");
        assert!(Book::check(&fleet.files(), &fleet.journal()).is_err());
        assert_eq!(
            book.shared()
                .current()
                .device(&key("acme/pen-1"))
                .unwrap()
                .clinic
                .as_str(),
            "south"
        );
    }
}

#[test]
fn limits_of_the_new_clinic_hold_after_a_move_and_each_change_is_a_version_of_its_own() {
    let fleet = Fleet::new();
    let book = fleet.open();
    let cheek = || {
        let limits = book.shared().current().limits(&key("acme/pen-1")).unwrap();
        limits.depth_max(Some(telemetry::Zone::Cheek)).unwrap().get()
    };
    let mut versions = vec![book.shared().current().version().to_string()];
    assert_eq!(cheek(), 1_000);
    for (to, depth) in [("south", 700), ("north", 1_000), ("south", 700)] {
        let done = change(&book, &move_to("pen-1", to)).unwrap();
        assert_eq!(cheek(), depth);
        versions.push(done.version.to_string());
    }
    versions.dedup();
    assert_eq!(versions.len(), 4, "{versions:?}");
    assert!(versions[3].starts_with("3+3-"), "{versions:?}");
}

#[test]
fn every_bad_row_of_a_list_is_named_with_its_line() {
    let list = "\u{feff}tenant;id;clinic;model;serial;expected_since;secret_sha256;certificate\n\
        acme;pen-2;north;pen;S-2;2026-12-01;;by-name\n\
        acme;Pen 3;north;pen;S-3;;;\n\
        acme;pen-4;;pen;S-4;2026-13-01;my secret;yes\n\
        acme;pen-5;north;pen;S-5;;;;more\n";
    let errors = registry::import::read_csv("fleet.csv", list).unwrap_err().to_string();
    for wanted in [
        "fleet.csv:3: id: ",
        "fleet.csv:4: clinic: is missing",
        "fleet.csv:4: expected_since: is no day",
        "fleet.csv:4: secret_sha256: is no SHA-256",
        "fleet.csv:4: certificate: is not \"by-name\"",
    ] {
        assert!(errors.contains(wanted), "{wanted}\n{errors}");
    }
    assert!(!errors.contains("my secret"), "{errors}");
    let header = registry::import::read_csv("fleet.csv", "tenant,id,colour\n").unwrap_err();
    let reasons: Vec<_> = header.problems.iter().map(|p| p.reason).collect();
    assert!(
        reasons.contains(&LoadReason::UnknownKey) && reasons.contains(&LoadReason::Missing),
        "{header}"
    );
    let wide = registry::import::read_csv("f.csv", "tenant,id,clinic,model,serial\nacme,pen-5,north,pen,S-5,,x\n");
    assert!(
        wide.unwrap_err()
            .to_string()
            .contains("f.csv:2: has 7 fields, the header 5")
    );
}

#[test]
fn ten_thousand_devices_are_entered_at_once() {
    let fleet = Fleet::new();
    let book = fleet.open();
    let rows: String = (0..10_000)
        .map(|n| format!("acme,p-{n},north,pen,X-{n},,by-name\n"))
        .collect();
    let list = format!("tenant,id,clinic,model,serial,expected_since,certificate\n{rows}");
    let order = Order::Add {
        list: "fleet.csv".to_owned(),
        rows: registry::import::read_csv("fleet.csv", &list).unwrap(),
    };
    assert_eq!(change(&book, &order).unwrap().devices.len(), 10_000);
    assert_eq!(fleet.open().shared().current().devices().len(), 10_001);
    assert!(change(&book, &order).is_err(), "they are there already");
}

#[test]
fn what_a_fold_shows_can_be_put_into_the_files_as_it_is() {
    let fleet = Fleet::new();
    let book = fleet.open();
    change(&book, &add("pen-2", "north")).unwrap();
    change(&book, &move_to("pen-2", "south")).unwrap();
    let pending = book.pending().unwrap();
    assert_eq!(pending.len(), 1);
    let row = pending[0].row_text().unwrap();
    fleet.write("tenants/acme/devices.toml", &DEVICES.replace("]", &format!("{row}]")));
    book.reload(|_| {}).unwrap();
    let folded = book.fold(UnixMicros(9), "ana", "in the files").unwrap();
    assert_eq!((folded.gone.len(), folded.left.len()), (1, 0));
    let registry = fleet.open().shared().current();
    assert_eq!(registry.device(&key("acme/pen-2")).unwrap().clinic.as_str(), "south");
    assert_eq!(registry.version().changes, 0);
    // Numbers go on.
    assert_eq!(change(&book, &move_to("pen-2", "north")).unwrap().change.n, 4);
    assert!(Path::new(&format!("{}.old", fleet.journal().display())).exists());
}

#[test]
fn whoever_judges_knows_a_new_device_before_it_is_let_in() {
    let fleet = Fleet::new();
    let book = fleet.open();
    let has = |shared: &registry::Shared| shared.current().device(&key("acme/pen-2")).is_some();
    let mut seen = None;
    let order = add("pen-2", "north");
    book.change(UnixMicros(1), ("ana", "new"), &order, |version| {
        assert_eq!(book.ahead().current().version(), version);
        seen = Some((has(&book.ahead()), has(&book.shared())));
    })
    .unwrap();
    assert_eq!(seen, Some((true, false)));
    assert!(has(&book.shared()));
}
