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
    /// Where the scanner is.
    pub(super) scanner: &'a Path,
    /// Where the deburring cell is.
    pub(super) opc_ua_url: &'a str,
    /// Where the MES takes events.
    pub(super) mes_url: &'a str,
    /// A broker that gets the events too.
    pub(super) mqtt_url: Option<&'a str>,
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

    /// Writes the settings file and says where it is.
    pub(super) fn write_settings(&self, places: &Places<'_>) -> anyhow::Result<PathBuf> {
        let text = settings(&self.dir.join("store"), places)?;
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
        assert_eq!(mes.url, "http://127.0.0.1:8099/events");
        let store = Path::new("/tmp/with \"quotes\" # and: such");
        assert_eq!(file.buffer.path, store);
        let limit = file.machines["PRESS-04"].operations["form"].quality[0].high;
        assert_eq!(limit, Some(super::super::press::PRESSURE_LIMIT));
    }

    #[test]
    fn a_broker_is_one_more_uplink_and_nothing_else() {
        let with = |url| {
            let places = Places {
                modbus_port: 1,
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
