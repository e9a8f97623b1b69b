//! A disk that the kernel makes read-only while the gateway works on it, as it does with a file system in which it finds an
//! error: the gateway ends with 74, and nothing that it had accepted is missing once the disk is well again.
//!
//! The disk is an ext4 of its own on a loop device; the error is the kernel's own, asked for in `/sys/fs/ext4`. A plain
//! remount is refused as long as a file is open for writing, so that nobody meets one in flight.

use super::peers::{Gateway, Press, wait_until};
use super::verdict::Received;
use super::{COMPLETED, full_disk, play, receivers};
use crate::conserved;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Requests of the HTTP uplink that may be out at an end.
const IN_FLIGHT: usize = 8;

/// A file system of its own, as long as the value lives.
struct Disk {
    holder: Child,
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// `None` where this machine does not allow it, which is said.
    fn mount(folder: &Path) -> Option<Disk> {
        if !crate::buffer::works("unshare", &["-m"]) {
            return None;
        }
        let (image, at) = (folder.join("image"), folder.join("state"));
        std::fs::create_dir(&at).unwrap();
        let script = "truncate -s 96M \"$0\" && mkfs.ext4 -q \"$0\" \
             && mount -o loop,errors=remount-ro \"$0\" \"$1\" \
             && device=$(losetup --noheadings --output NAME -j \"$0\") \
             && test -w /sys/fs/ext4/$(basename $device)/trigger_fs_error \
             && touch \"$1/mounted\" && exec sleep 900";
        let holder = Command::new("unshare")
            .args(["-m", "sh", "-ec", script])
            .args([&image, &at])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut disk = Disk { holder, image, at };
        let mut ended = false;
        wait_until("the disk is mounted, or cannot be", || {
            ended = disk.holder.try_wait().unwrap().is_some();
            ended || disk.outside().join("mounted").exists()
        });
        if ended {
            println!(
                "not allowed here: an ext4 on a loop device, and an error of the kernel's in it"
            );
            return None;
        }
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
        ["nsenter", "-m", "-t", &id].map(str::to_owned).to_vec()
    }

    fn run(&self, script: &str) {
        let words = self.wrapper();
        let status = Command::new(&words[0])
            .args(&words[1..])
            .args(["sh", "-ec", script])
            .args([&self.image, &self.at])
            .status()
            .unwrap();
        assert!(status.success(), "{script}");
    }

    /// The kernel finds an error in it.
    fn fail(&self) {
        self.run(
            "device=$(losetup --noheadings --output NAME -j \"$0\"); \
             echo test >/sys/fs/ext4/$(basename $device)/trigger_fs_error",
        );
    }

    /// Somebody has looked after it.
    fn mount_again(&self) {
        self.run("umount \"$1\"; mount -o loop \"$0\" \"$1\"");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_turns_read_only_under_the_gateway_ends_it_with_74() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(mut press) = Press::start() else {
        return;
    };
    let Some(disk) = Disk::mount(folder) else {
        return;
    };
    let (port, mes) = receivers::serve_mes().await;
    let file = folder.join("gateway.yaml");
    let settings = full_disk::with_the_mes(&disk.at, press.port, port);
    std::fs::write(&file, settings).unwrap();
    let mut gateway = Gateway::start_in(&disk.wrapper(), folder, &file, "first");
    gateway.ready();
    press.order("look 10", "looked 10");
    play(&mut press, 5);
    wait_until("the strokes have arrived", || mes.count(COMPLETED) >= 5);
    disk.fail();
    press.tell("go 20");
    assert_eq!(gateway.ended().code(), Some(74));
    let log = gateway.logged();
    assert!(log.contains("mounted read-only"), "{log}");

    // As after a repair: the next start finds all that was accepted, and counts nothing as lost.
    disk.mount_again();
    let mut gateway = Gateway::start_in(&disk.wrapper(), folder, &file, "second");
    gateway.ready();
    press.expect("done 20");
    play(&mut press, 3);
    wait_until("the strokes after it have arrived", || {
        mes.count(COMPLETED) >= 8
    });
    assert!(gateway.stop().success());
    let log = gateway.logged();
    assert!(!log.contains("stored events are lost"), "{log}");
    let received = Received::new("the MES", mes.events());
    received.check_gapless();
    received.check_order();
    conserved::check_arrived(&disk.outside(), "mes", &received.sequences(), IN_FLIGHT);
}
