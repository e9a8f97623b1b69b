//! A directory of the demo's own under the system's temporary one: settings and store. Gone when the demo ends.

use crate::settings;
use anyhow::Context;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The settings, with places to fill in.
const SETTINGS: &str = include_str!("demo.yaml");

/// The uplink of `--mqtt`.
pub(super) const BROKER: &str = "broker";

/// Where the demo keeps what it needs; removed when dropped.
#[derive(Debug)]
pub(super) struct Workplace {
    dir: PathBuf,
}

/// What is filled into the settings.
pub(super) struct Places<'a> {
    /// Port of the press.
    pub(super) modbus_port: u16,
    /// Port of its power pack.
    pub(super) hydraulics_port: u16,
    /// When the shift changes, in UTC.
    pub(super) shift_change: ShiftChange,
    /// Where the scanner is.
    pub(super) scanner: &'a Path,
    /// Where the deburring cell is.
    pub(super) opc_ua_url: &'a str,
    /// Where the MES takes events.
    pub(super) mes_url: &'a str,
    /// A broker that gets the events too.
    pub(super) mqtt_url: Option<&'a str>,
}

/// The full minute at which the shift changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShiftChange {
    /// Minutes since midnight.
    minute: i64,
}

/// Minutes of a day, and of a shift.
const DAY_MIN: i64 = 24 * 60;
const SHIFT_MIN: i64 = 8 * 60;
/// The shift before the change is seen at least that long, in seconds.
const SEEN_BEFORE_S: i64 = 10;

impl ShiftChange {
    /// The next full minute after so many seconds of UTC that there is something to tell of the shift before it.
    pub(super) fn after(utc_s: i64) -> ShiftChange {
        ShiftChange {
            minute: (utc_s + SEEN_BEFORE_S).div_euclid(60) + 1,
        }
    }

    /// `HH:MM`, so many minutes later.
    fn later(self, minutes: i64) -> String {
        let minute = (self.minute + minutes).rem_euclid(DAY_MIN);
        format!("{:02}:{:02}", minute / 60, minute % 60)
    }
}

impl Workplace {
    /// A new directory that only this user can enter.
    pub(super) fn new() -> anyhow::Result<Workplace> {
        let name = format!("millgate-demo-{:016x}", fastrand::u64(..));
        let dir = std::env::temp_dir().join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot make the directory {}", dir.display()))?;
        Ok(Workplace { dir })
    }

    /// Where the deburring cell may keep what it needs.
    pub(super) fn cell(&self) -> PathBuf {
        self.dir.join("cell")
    }

    /// The gateway's `buffer.path`.
    pub(super) fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// Writes the settings file and says where it is.
    pub(super) fn write_settings(&self, places: &Places<'_>) -> anyhow::Result<PathBuf> {
        let text = settings(&self.store(), places)?;
        let path = self.dir.join("gateway.yaml");
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            tracing::warn!(dir = %self.dir.display(), %error, "the demo's directory stays behind");
        }
    }
}

fn settings(store: &Path, places: &Places<'_>) -> anyhow::Result<String> {
    let store = store
        .to_str()
        .context("the path of the temporary directory is not UTF-8")?;
    let scanner = places.scanner.to_string_lossy();
    let mut text = SETTINGS
        .replace("${MODBUS_PORT}", &places.modbus_port.to_string())
        .replace("${HYDRAULICS_PORT}", &places.hydraulics_port.to_string())
        .replace("${SHIFT_BEFORE}", &places.shift_change.later(-SHIFT_MIN))
        .replace("${SHIFT_CHANGE}", &places.shift_change.later(0))
        .replace("${SHIFT_AFTER}", &places.shift_change.later(SHIFT_MIN))
        .replace("${OPC_UA_URL}", &quoted(places.opc_ua_url))
        .replace("${SCANNER}", &quoted(&scanner))
        .replace("${STORE}", &quoted(store))
        .replace("${MES_URL}", &quoted(places.mes_url));
    if let Some(url) = places.mqtt_url {
        text.push_str(&format!(
            "  {BROKER}:\n    start_at: oldest\n    mqtt: {{ url: "
        ));
        text.push_str(&quoted(url));
        text.push_str(" }\n");
    }
    Ok(text)
}

/// The address of a broker, when the settings of the demo would be good with it.
///
/// # Errors
/// What to write instead.
pub(super) fn broker(url: &str) -> Result<String, String> {
    if url.starts_with("mqtts://") {
        return Err("the demo knows no authority to trust: write mqtt://HOST:1883".into());
    }
    let places = Places {
        modbus_port: 502,
        hydraulics_port: 503,
        shift_change: ShiftChange::after(0),
        scanner: Path::new("/dev/ttyS0"),
        opc_ua_url: "opc.tcp://127.0.0.1:4840/",
        mes_url: "http://127.0.0.1/events",
        mqtt_url: Some(url),
    };
    let text = settings(Path::new("/"), &places).map_err(|error| error.to_string())?;
    match settings::load(&text) {
        Ok(_) => Ok(url.to_owned()),
        Err(problems) => Err(problems
            .list
            .into_iter()
            .map(|problem| problem.message)
            .collect::<Vec<_>>()
            .join("; ")),
    }
}

/// A text that stays one text in YAML, whatever it contains: a JSON string is one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::shape;

    fn read(text: &str) -> shape::File {
        match settings::load(text) {
            Ok(loaded) => loaded.file,
            Err(problems) => panic!("{problems:?}\n{text}"),
        }
    }

    #[test]
    fn the_settings_are_settings() {
        let places = Places {
            modbus_port: 15_020,
            hydraulics_port: 15_021,
            shift_change: ShiftChange::after(0),
            scanner: Path::new("/dev/pts/7"),
            opc_ua_url: "opc.tcp://127.0.0.1:4840/",
            mes_url: "http://127.0.0.1:8099/events",
            mqtt_url: None,
        };
        let file = read(&settings(Path::new("/tmp/with \"quotes\" # and: such"), &places).unwrap());
        let plc = file.machines["PRESS-04"].devices["plc"]
            .modbus_tcp
            .as_ref()
            .unwrap();
        assert_eq!(plc.port, 15_020);
        let mes = file.uplinks["mes"].http.as_ref().unwrap();
        assert_eq!(mes.url.as_deref(), Some("http://127.0.0.1:8099/events"));
        let store = Path::new("/tmp/with \"quotes\" # and: such");
        assert_eq!(file.buffer.path, store);
        let limit = file.machines["PRESS-04"].operations["form"].quality[0].high;
        assert_eq!(limit, Some(super::super::press::PRESSURE_LIMIT));
    }

    #[test]
    fn the_shift_changes_at_the_next_full_minute_that_leaves_something_to_see() {
        for (utc_s, change) in [
            (0, "00:01"),
            (49, "00:01"),
            (50, "00:02"),
            (86_399, "00:01"),
            (86_400 + 3_600 * 14 + 5, "14:01"),
        ] {
            let found = ShiftChange::after(utc_s);
            assert_eq!(found.later(0), change, "{utc_s}");
        }
        assert_eq!(ShiftChange::after(0).later(-SHIFT_MIN), "16:01");
    }

    #[test]
    fn a_broker_is_one_more_uplink_and_nothing_else() {
        let with = |url| {
            let places = Places {
                modbus_port: 1,
                hydraulics_port: 2,
                shift_change: ShiftChange::after(0),
                scanner: Path::new("/dev/pts/7"),
                opc_ua_url: "opc.tcp://127.0.0.1:4840/",
                mes_url: "http://127.0.0.1:1/events",
                mqtt_url: Some(url),
            };
            settings(Path::new("/tmp/store"), &places).unwrap()
        };
        let file = read(&with("mqtt://127.0.0.1:1883"));
        let broker = file.uplinks["broker"].mqtt.as_ref().unwrap();
        assert_eq!(broker.url, "mqtt://127.0.0.1:1883");

        let crafted = "mqtt://x }\nshadow: true";
        let file: shape::File = serde_saphyr::from_str(&with(crafted)).unwrap();
        assert_eq!(file.uplinks["broker"].mqtt.as_ref().unwrap().url, crafted);
        assert!(!file.shadow);
    }

    #[test]
    fn an_address_that_is_none_of_a_broker_is_refused() {
        for good in ["mqtt://127.0.0.1:1883", "mqtt://broker"] {
            assert_eq!(broker(good).as_deref(), Ok(good));
        }
        for (bad, says) in [
            ("http://x", "begins with mqtt://"),
            ("mqtts://x", "no authority to trust"),
            ("127.0.0.1", "this is not an address"),
            ("mqtt://", "the host is missing"),
            ("mqtt://x:99999", "the port"),
        ] {
            let wrong = broker(bad).unwrap_err();
            assert!(wrong.contains(says), "{bad}: {wrong}");
        }
    }

    #[test]
    fn nothing_stays_behind() {
        let workplace = Workplace::new().unwrap();
        let dir = workplace.dir.clone();
        std::fs::create_dir(dir.join("store")).unwrap();
        std::fs::write(dir.join("store/db"), b"x").unwrap();
        drop(workplace);
        assert!(!dir.exists());
    }
}
