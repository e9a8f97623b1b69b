//! The recording disk: a file system behind qemu's `blklogwrites`, which logs each write and each flush in the order in
//! which the disk sees them; exported as a file by FUSE, and a loop device on that. Marks are written to the same disk,
//! past the file system, so that one log orders what the store wrote and what it told.
//!
//! All of it lives in name spaces of the box, and goes with them.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The file system's part of the disk; the rest is for marks.
pub(super) const FILE_SYSTEM: usize = 32 << 20;
const SPARE: usize = 64 << 10;
/// More than any workload writes: it is sparse.
const LOG_BYTES: u64 = 4 << 30;
pub(super) const BLOCK: usize = 4096;
pub(super) const SECTOR: usize = 512;
/// So much is compared and written at a time.
const RUN: usize = 64 << 10;
const MAGIC: &[u8; 15] = b"millgate cutbox";
const MARKS: &str = "CUTBOX_MARKS";

/// Memory that direct writes may come from.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    fn new(length: usize) -> Aligned {
        let bytes = vec![0; length + BLOCK];
        let start = bytes.as_ptr().align_offset(BLOCK);
        Aligned {
            bytes,
            start,
            length,
        }
    }

    fn slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

fn open_direct(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)
}

/// What the workload told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Begun(u64),
    Done(u64),
}

impl Mark {
    /// What a write to the spare part says.
    pub(super) fn parse(sector: &[u8]) -> Option<Mark> {
        let (kind, number) = sector.strip_prefix(MAGIC)?.split_first()?;
        let number = u64::from_le_bytes(*number.first_chunk()?);
        match kind {
            b'b' => Some(Mark::Begun(number)),
            b'd' => Some(Mark::Done(number)),
            _ => None,
        }
    }
}

/// Bytes of the marks, behind the file system.
pub(super) const MARKED: usize = SPARE;

/// Tells a workload to mark in this file.
pub(super) fn tell_marks_in(workload: &mut Command, file: &Path) {
    workload.env(MARKS, file);
}

/// Where the workload marks.
pub(super) struct Marks {
    file: File,
    sector: Aligned,
}

impl Marks {
    pub(super) fn from_environment() -> Marks {
        let path = std::env::var_os(MARKS).unwrap();
        Marks {
            file: open_direct(Path::new(&path)).unwrap(),
            sector: Aligned::new(SECTOR),
        }
    }

    pub(super) fn begun(&mut self, step: u64) {
        self.mark(b'b', step);
    }

    pub(super) fn done(&mut self, step: u64) {
        self.mark(b'd', step);
    }

    fn mark(&mut self, kind: u8, step: u64) {
        let sector = self.sector.slice();
        sector[..15].copy_from_slice(MAGIC);
        sector[15] = kind;
        sector[16..24].copy_from_slice(&step.to_le_bytes());
        let sectors = (SPARE / SECTOR) as u64;
        let offset = FILE_SYSTEM as u64 + step % sectors * SECTOR as u64;
        self.file.write_all_at(sector, offset).unwrap();
    }
}

/// Runs a program that must succeed, and returns what it says.
pub(super) fn tell(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{errors}");
    said
}

/// A loop device over a file, which goes when the last that uses it closes it, however that ends.
struct Loop {
    path: PathBuf,
    /// For writing past the cache of the device.
    direct: File,
}

impl Loop {
    fn over(file: &Path) -> Loop {
        let mut losetup = Command::new("losetup");
        let name = tell(losetup.args(["--find", "--show"]).arg(file));
        let path = PathBuf::from(name.trim());
        let direct = open_direct(&path).unwrap();
        tell(Command::new("losetup").arg("--detach").arg(&path));
        Loop { path, direct }
    }
}

pub(super) fn mount_ext4(device: &Path, at: &Path) -> io::Result<()> {
    mount(
        Some(device),
        at,
        Some("ext4"),
        MsFlags::MS_NOATIME,
        None::<&str>,
    )?;
    Ok(())
}

pub(super) fn unmount(at: &Path) -> io::Result<()> {
    umount2(at, MntFlags::empty())?;
    Ok(())
}

/// What is on a disk with a fresh file system; `home` is for the making.
pub(super) fn fresh(home: &Path) -> Vec<u8> {
    let file = home.join("fresh");
    tell(
        Command::new("mkfs.ext4")
            .args(["-q", "-b", "4096", "-J", "size=4"])
            .args(["-E", "lazy_itable_init=0,lazy_journal_init=0"])
            .arg(&file)
            .arg(format!("{}k", FILE_SYSTEM >> 10)),
    );
    std::fs::read(file).unwrap()
}

/// A disk whose writes are logged.
pub(super) struct Recorder {
    home: PathBuf,
    daemon: Child,
    _device: Loop,
}

impl Recorder {
    /// Makes it of a file system, and mounts that at [`Recorder::mounted`].
    pub(super) fn start(home: &Path, content: &[u8]) -> Recorder {
        let path = |name: &str| home.join(name);
        std::fs::write(path("base"), content).unwrap();
        for (name, bytes) in [
            ("base", (FILE_SYSTEM + SPARE) as u64),
            ("log", LOG_BYTES),
            ("disk", 0),
        ] {
            let mut options = OpenOptions::new();
            let file = options.create(true).write(true).truncate(false);
            file.open(path(name)).unwrap().set_len(bytes).unwrap();
        }
        let daemon = start_daemon(home);
        let device = Loop::over(&path("disk"));
        std::fs::create_dir(path("mounted")).unwrap();
        mount_ext4(&device.path, &path("mounted")).unwrap();
        Recorder {
            home: home.to_owned(),
            daemon,
            _device: device,
        }
    }

    pub(super) fn mounted(&self) -> PathBuf {
        self.home.join("mounted")
    }

    /// Tells a workload where to mark.
    pub(super) fn tell_marks(&self, workload: &mut Command) {
        workload.env(MARKS, self.home.join("disk"));
    }

    /// Unmounts; returns the log.
    pub(super) fn stop(mut self) -> File {
        unmount(&self.mounted()).unwrap();
        let mut commands = self.daemon.stdin.take().unwrap();
        commands
            .write_all(b"{\"execute\":\"qmp_capabilities\"}{\"execute\":\"quit\"}\n")
            .unwrap();
        assert!(self.daemon.wait().unwrap().success());
        File::open(self.home.join("log")).unwrap()
    }
}

/// Starts the daemon and waits until it greets, which it does when the export is there.
fn start_daemon(home: &Path) -> Child {
    let file = |name: &str| {
        let path = home.join(name);
        format!("driver=file,node-name={name},filename={}", path.display())
    };
    let mut daemon = Command::new("qemu-storage-daemon")
        .args(["--blockdev", &file("base"), "--blockdev", &file("log")])
        .args([
            "--blockdev",
            "driver=blklogwrites,node-name=logged,file=base,log=log,log-sector-size=512",
            "--export",
        ])
        .arg(format!(
            "type=fuse,id=disk,node-name=logged,writable=on,mountpoint={}",
            home.join("disk").display()
        ))
        .args(["--chardev", "stdio,id=monitor", "--monitor", "monitor"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut greeting = String::new();
    // The pipe stays open: answers that nobody reads are few.
    let output = daemon.stdout.as_mut().unwrap();
    BufReader::new(output).read_line(&mut greeting).unwrap();
    assert!(greeting.contains("QMP"), "{greeting}");
    daemon
}

/// A disk that is given any content, where it differs.
pub(super) struct Scratch {
    backing: File,
    device: Loop,
    held: Vec<u8>,
    run: Aligned,
}

impl Scratch {
    pub(super) fn new(file: &Path) -> Scratch {
        File::create_new(file)
            .unwrap()
            .set_len(FILE_SYSTEM as u64)
            .unwrap();
        Scratch {
            backing: File::open(file).unwrap(),
            device: Loop::over(file),
            held: vec![0; FILE_SYSTEM],
            run: Aligned::new(RUN),
        }
    }

    pub(super) fn device(&self) -> &Path {
        &self.device.path
    }

    /// Makes the disk hold `content`; it must not be mounted.
    pub(super) fn hold(&mut self, content: &[u8]) -> io::Result<()> {
        // What is there is read from the file below; what is written goes past the cache of the device, which forgets it.
        self.backing.read_exact_at(&mut self.held, 0)?;
        let runs = self.held.chunks(RUN).zip(content.chunks(RUN));
        for (index, (held, wanted)) in runs.enumerate() {
            if held != wanted {
                let run = self.run.slice();
                run.copy_from_slice(wanted);
                let offset = (index * RUN) as u64;
                self.device.direct.write_all_at(run, offset)?;
            }
        }
        Ok(())
    }
}
