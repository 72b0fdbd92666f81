//! A tenant whose bucket refuses for long is parked: the others' points arrive, however much it sends, and in the end its own
//! are all there, across a SIGKILL. Against a real InfluxDB.
use ingestor::testing::Influx1;
use tests::{SOON, Source, Stack, StackSpec, Store, Version, Webhook, copy_folder, deliver_all, wait_for};

/// Frames of each of the two tenants: eight times what fits into memory.
const FRAMES: usize = 4_000;

/// A small memory, and a tenant is parked within seconds.
const SETTINGS: &str = "[ingestor]\nheld_records = 1000\nbatch_points = 200\nfatal_retry = \"500ms\"\nretry_cap = \"200ms\"\n\
    rollups = false\nparked = { after = \"3s\", records = 250 }\n";

struct Site {
    runtime: tokio::runtime::Runtime,
    influx: Influx1,
    stack: Stack,
    pens: [Source; 2],
    /// Answers alerting's pages.
    _webhook: Webhook,
}

impl Site {
    /// Tenant `acme` has its bucket, `other` has none.
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let influx = runtime.block_on(Influx1::start()).unwrap();
        runtime.block_on(influx.create_bucket("b-acme")).unwrap();
        let webhook = Webhook::start();
        let spec = StackSpec {
            store: Store::Influx {
                url: influx.url().to_owned(),
                bucket: "b-{tenant}".to_owned(),
            },
            ..StackSpec::plain(&webhook)
        };
        let mut stack = Stack::prepare(&spec);
        stack.edit("dermatel.toml", "[ingestor]\n", SETTINGS);
        stack.up();
        let pens = [Source::new("pen-1"), Source::of("other", "other-south", "pen-1")];
        Self {
            runtime,
            influx,
            stack,
            pens,
            _webhook: webhook,
        }
    }

    /// Both pens publish so many frames, at the same time.
    fn publish(&mut self, frames: usize) {
        let to = self.stack.mqtt;
        let sending = self.pens.each_mut().map(|pen| {
            let (login, topic) = (pen.login(to, Version::V5), pen.topic());
            let messages: Vec<Vec<u8>> = (0..frames).map(|_| pen.good(4)).collect();
            std::thread::spawn(move || deliver_all(&login, &topic, &messages, |_| {}))
        });
        for one in sending {
            one.join().unwrap();
        }
    }

    fn stored(&self, bucket: &str) -> usize {
        let asked = self.influx.query(bucket, "SELECT count(\"count\") FROM stroke_window");
        let rows = self.runtime.block_on(asked).unwrap_or_default();
        let count = rows.first().and_then(|row| row[1].as_u64());
        usize::try_from(count.unwrap_or(0)).unwrap()
    }

    fn wait_stored(&self, bucket: &str, wanted: usize) {
        wait_for(&format!("all points of {bucket}"), SOON, || match self.stored(bucket) {
            found if found == wanted => Ok(()),
            found => Err((found, wanted, self.stack.get("/readyz"))),
        });
    }

    /// A backup beside the process, which is then killed; it is gone on from the backup.
    fn go_on_from_a_backup(&mut self) {
        let folder = self.stack.folder().to_owned();
        let path = |name: &str| folder.join(name).display().to_string();
        let (done, said) = self
            .stack
            .command(&["backup", "--config", &path("dermatel.toml"), "--to", &path("copy")]);
        assert!(done && said.contains("other's own log"), "{said}");
        self.stack.kill();
        std::fs::rename(path("data"), path("before")).unwrap();
        copy_folder(&folder.join("copy/data"), &folder.join("data"));
        self.stack.up();
    }

    fn is_parked(&self) -> bool {
        self.stack.folder().join("data/ingestor/parked/other").exists()
    }
}

#[test]
fn a_tenant_whose_bucket_is_missing_holds_no_other_up_and_has_everything_in_the_end_across_kills() {
    let mut site = Site::start();
    assert_eq!(site.stack.metric("ingestor_lanes_parked"), 0.0);
    site.publish(FRAMES);
    site.wait_stored("b-acme", FRAMES);
    site.stack.wait_metric("ingestor_lanes_parked", 1.0);
    assert!(site.is_parked());
    site.stack.wait_metric("ingestor_parked_records", FRAMES as f64 / 2.0);
    assert!(site.stack.metric("ingestor_parked_bytes") > 0.0);
    // The others are fine, and whoever looks is told who is not, and why.
    site.stack.wait_ready();
    let (_, told) = site.stack.get("/readyz").unwrap();
    assert!(
        told.contains("tenant other since") && told.contains("not_found"),
        "{told}"
    );

    site.go_on_from_a_backup();
    site.publish(FRAMES);
    site.wait_stored("b-acme", 2 * FRAMES);
    assert!(site.is_parked(), "a restart does not forget who is parked");

    site.runtime.block_on(site.influx.create_bucket("b-other")).unwrap();
    wait_for("the begin of the drain", SOON, || match site.stored("b-other") {
        0 => Err(0),
        found => Ok(found),
    });
    site.stack.kill();
    site.stack.up();
    site.wait_stored("b-other", 2 * FRAMES);
    wait_for("the end of the parking", SOON, || match site.is_parked() {
        true => Err(site.stack.get("/readyz")),
        false => Ok(()),
    });
    // From here on as if nothing had been.
    site.publish(10);
    site.wait_stored("b-other", 2 * FRAMES + 10);
    site.stack.wait_metric("ingestor_backlog_records", 0.0);
    assert_eq!(site.stack.metric("ingestor_parked_shed_records_total"), 0.0);
    assert_eq!(site.stack.metric("ingestor_records_lost_total"), 0.0);
}
