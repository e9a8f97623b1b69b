//! The whole gateway on a disk that somebody else fills and empties: it does not end, reads nothing meanwhile, says so, and
//! goes on by itself; on a disk that is read-only it ends with 74.
//!
//! The disk is a tmpfs in a name space of the test's own, reached from outside through `/proc`.

use super::peers::{Gateway, Press, wait_until};
use super::verdict::Received;
use super::{COMPLETED, play, receivers, settings};
use crate::conserved;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Large enough for a ballast, small enough to be filled at once.
const DISK: &str = "40m";

/// Requests of the HTTP uplink that may be out at a stop.
const IN_FLIGHT: usize = 8;

/// A file system of its own, as long as the value lives.
struct Disk {
    holder: Child,
    at: PathBuf,
}

impl Disk {
    /// `None` where this machine does not allow it.
    fn mount(at: &Path) -> Option<Disk> {
        if !crate::buffer::works("unshare", &["-rm"]) {
            return None;
        }
        std::fs::create_dir_all(at).unwrap();
        let script = format!(
            "mount -t tmpfs -o size={DISK} none {0}; touch {0}/mounted; exec sleep 600",
            at.display()
        );
        let holder = Command::new("unshare")
            .args(["-rm", "sh", "-ec", &script])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let at = at.to_owned();
        let disk = Disk { holder, at };
        wait_until("the disk is mounted", || {
            disk.outside().join("mounted").exists()
        });
        Some(disk)
    }

    /// Where this process sees it.
    fn outside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.at.strip_prefix("/").unwrap())
    }

    /// A command in front of another that runs it there.
    fn wrapper(&self) -> Vec<String> {
        let id = self.holder.id().to_string();
        ["nsenter", "--preserve-credentials", "-U", "-m", "-t", &id]
            .map(str::to_owned)
            .to_vec()
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut other = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.outside().join("other"))
            .unwrap();
        while other.write_all(&[7; 4096]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.outside().join("other")).unwrap();
    }

    fn remount(&self, options: &str) {
        let words = self.wrapper();
        let status = Command::new(&words[0])
            .args(&words[1..])
            .args(["mount", "-o", &format!("remount,{options}")])
            .arg(&self.at)
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// Settings with the MES alone.
pub(super) fn with_the_mes(store: &Path, press: u16, mes: u16) -> String {
    let text = settings(store, press, 1, mes);
    let broker = text.find("  broker:").unwrap();
    let mes = text.find("  mes:").unwrap();
    format!("{}{}", &text[..broker], &text[mes..])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_others_fill_stops_nothing_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(mut press) = Press::start() else {
        return;
    };
    let Some(disk) = Disk::mount(&folder.join("state")) else {
        return;
    };
    let (port, mes) = receivers::serve_mes().await;
    let file = folder.join("gateway.yaml");
    std::fs::write(&file, with_the_mes(&disk.at, press.port, port)).unwrap();
    let completed = |strokes: usize| {
        wait_until(&format!("{strokes} strokes have arrived"), || {
            mes.count(COMPLETED) >= strokes
        });
    };

    // Full at the start: it waits inside, and a stop is heard at once.
    disk.fill();
    let mut waiting = Gateway::start_in(&disk.wrapper(), folder, &file, "waiting");
    waiting.ready();
    wait_until("it says why it waits", || {
        waiting.told().contains("STATUS=not reading the machines")
    });
    assert!(waiting.told().contains("WATCHDOG=1"));
    assert!(waiting.stop().success());
    let mut gateway = Gateway::start_in(&disk.wrapper(), folder, &file, "first");
    gateway.ready();
    disk.empty();
    // It was ready before there was a store; a stroke that has begun when it first looks is none that it counts.
    press.order("look 10", "looked 10");
    play(&mut press, 10);
    completed(10);

    // Full while it works. The press waits for whoever reads it, so that the stages before the buffer fill up, too.
    disk.fill();
    press.tell("go 60");
    wait_until("it reads no more", || {
        gateway
            .logged()
            .contains("not read: nothing takes what was read")
    });
    wait_until("it says so", || {
        let told = gateway.told();
        let status = told.lines().rev().find(|line| line.starts_with("STATUS="));
        status.is_some_and(|line| line.contains("not reading the machines"))
    });
    let accepted = mes.events().len();
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(mes.events().len(), accepted, "nothing is accepted");
    disk.empty();
    press.expect("done 60");
    completed(70);
    play(&mut press, 5);
    completed(75);
    let told = gateway.told();
    assert!(!told.contains("WATCHDOG=trigger"), "{told}");

    // Full to the end: the stop is heard, and what was accepted is there for the next start.
    disk.fill();
    press.tell("go 60");
    wait_until("it reads no more again", || {
        gateway.logged().matches("not read: nothing takes").count() > 1
    });
    assert!(gateway.stop().success(), "SIGTERM on a full disk");
    disk.empty();
    let mut gateway = Gateway::start_in(&disk.wrapper(), folder, &file, "second");
    gateway.ready();
    press.expect("done 60");
    wait_until("the strokes after the start have arrived", || {
        mes.count(COMPLETED) > 80
    });

    // Read-only is for people, not for waiting.
    assert!(gateway.stop().success());
    disk.remount("ro");
    let mut refused = Gateway::start_in(&disk.wrapper(), folder, &file, "read-only");
    assert_eq!(refused.ended().code(), Some(74));
    let log = refused.logged();
    assert!(log.contains("mounted read-only"), "{log}");
    disk.remount("rw");
    let mut gateway = Gateway::start_in(&disk.wrapper(), folder, &file, "third");
    gateway.ready();
    play(&mut press, 3);
    assert!(gateway.stop().success());

    let received = Received::new("the MES", mes.events());
    let delivered = received.check_gapless();
    received.check_order();
    conserved::check_arrived(&disk.outside(), "mes", &received.sequences(), IN_FLIGHT);
    println!("{delivered} events; {} repeats", received.repeats);
}
