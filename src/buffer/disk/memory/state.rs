//! All of the disk in memory, behind one lock: paths, faults, the count of calls.

use super::super::Space;
use super::Plan;
use super::node::{Directory, File, Node, Odds};
use fastrand::Rng;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

const ROOT: usize = 0;

#[derive(Debug)]
pub(super) struct State {
    /// The root first. What lost its name stays: an open file may be read.
    nodes: Vec<Node>,
    pub(super) locked: BTreeSet<usize>,
    pub(super) plan: Plan,
    pub(super) calls: u64,
    random: Rng,
}

fn error(kind: io::ErrorKind) -> io::Error {
    io::Error::from(kind)
}

fn broken() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

fn full() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOSPC)
}

fn name_of(path: &Path) -> io::Result<&str> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| error(io::ErrorKind::InvalidInput))
}

fn parent_of(path: &Path) -> io::Result<&Path> {
    path.parent()
        .ok_or_else(|| error(io::ErrorKind::InvalidInput))
}

impl State {
    pub(super) fn new(seed: u64) -> State {
        State {
            nodes: vec![Node::Directory(Directory::default())],
            locked: BTreeSet::new(),
            plan: Plan::default(),
            calls: 0,
            random: Rng::with_seed(seed),
        }
    }

    pub(super) fn kill(&self) -> State {
        State {
            nodes: self.nodes.clone(),
            locked: BTreeSet::new(),
            plan: Plan::default(),
            calls: self.calls,
            random: self.random.clone(),
        }
    }

    pub(super) fn crash(&self, seed: u64) -> State {
        let mut random = Rng::with_seed(seed);
        // Of half of the cuts the whole disk has one fate.
        let common = match random.u8(0..4) {
            0 => Some(Odds::NOTHING),
            1 => Some(Odds::ALL),
            _ => None,
        };
        let mut after = State::new(random.u64(..));
        after.calls = self.calls;
        after.nodes.clear();
        self.copy(ROOT, common, &mut random, &mut after.nodes);
        after
    }

    /// Copies what is left of a node and below to the end of `to`; returns its place there.
    fn copy(&self, id: usize, common: Option<Odds>, random: &mut Rng, to: &mut Vec<Node>) -> usize {
        let odds = common.unwrap_or_else(|| Odds::draw(random));
        let place = to.len();
        match &self.nodes[id] {
            Node::File(file) => to.push(Node::File(file.crash(odds, random))),
            Node::Directory(directory) => {
                to.push(Node::Directory(Directory::default()));
                let mut copied = Directory::default();
                for (name, id) in directory.survivors(odds, random) {
                    let child = self.copy(id, common, random, to);
                    copied.add(&name, child);
                }
                copied.sync();
                to[place] = Node::Directory(copied);
            }
        }
        place
    }

    /// Counts a call that changes or syncs something. `Ok(true)` when it is to fail in its own way.
    fn call(&mut self) -> io::Result<bool> {
        self.alive()?;
        self.calls += 1;
        self.alive()?;
        Ok(self.plan.broken.contains(&self.calls))
    }

    /// [`State::call`] of what is done whole or not at all.
    fn whole_call(&mut self) -> io::Result<()> {
        if self.call()? { Err(broken()) } else { Ok(()) }
    }

    fn alive(&self) -> io::Result<()> {
        match self.plan.cut {
            Some(cut) if self.calls >= cut => Err(broken()),
            _ => Ok(()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<Option<usize>> {
        self.alive()?;
        let mut id = ROOT;
        for part in path.components() {
            let std::path::Component::Normal(part) = part else {
                continue;
            };
            let Node::Directory(directory) = &self.nodes[id] else {
                return Err(error(io::ErrorKind::NotADirectory));
            };
            match part.to_str().and_then(|part| directory.get(part)) {
                Some(next) => id = next,
                None => return Ok(None),
            }
        }
        Ok(Some(id))
    }

    fn must_find(&self, path: &Path) -> io::Result<usize> {
        self.find(path)?
            .ok_or_else(|| error(io::ErrorKind::NotFound))
    }

    pub(super) fn file(&self, id: usize) -> io::Result<&File> {
        self.alive()?;
        match &self.nodes[id] {
            Node::File(file) => Ok(file),
            Node::Directory(_) => Err(error(io::ErrorKind::IsADirectory)),
        }
    }

    fn file_mut(&mut self, id: usize) -> io::Result<&mut File> {
        match &mut self.nodes[id] {
            Node::File(file) => Ok(file),
            Node::Directory(_) => Err(error(io::ErrorKind::IsADirectory)),
        }
    }

    fn directory(&self, id: usize) -> io::Result<&Directory> {
        match &self.nodes[id] {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(error(io::ErrorKind::NotADirectory)),
        }
    }

    fn directory_mut(&mut self, id: usize) -> io::Result<&mut Directory> {
        match &mut self.nodes[id] {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(error(io::ErrorKind::NotADirectory)),
        }
    }

    pub(super) fn file_at(&self, path: &Path) -> io::Result<Option<&File>> {
        self.find(path)?.map(|id| self.file(id)).transpose()
    }

    pub(super) fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let directory = self.directory(self.must_find(path)?)?;
        Ok(directory.entries().keys().cloned().collect())
    }

    pub(super) fn create_dirs(&mut self, path: &Path) -> io::Result<()> {
        if let Some(id) = self.find(path)? {
            return self.directory(id).map(|_| ());
        }
        let parent = parent_of(path)?;
        self.create_dirs(parent)?;
        self.make(path, Node::Directory(Directory::default()))?;
        self.sync_dir(parent)
    }

    /// Opens a file; creates it where it is not there.
    pub(super) fn open(&mut self, path: &Path) -> io::Result<usize> {
        match self.find(path)? {
            Some(id) => self.file(id).map(|_| id),
            None => self.make(path, Node::File(File::default())),
        }
    }

    fn make(&mut self, path: &Path, node: Node) -> io::Result<usize> {
        let (parent, name) = (self.must_find(parent_of(path)?)?, name_of(path)?);
        self.whole_call()?;
        if let Some(limit) = self.plan.names
            && self.used(Path::new("/"))?.1 >= limit
        {
            return Err(full());
        }
        let id = self.nodes.len();
        self.directory_mut(parent)?.add(name, id);
        self.nodes.push(node);
        Ok(id)
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let id = self.must_find(path)?;
        self.directory(id)?;
        let fails = self.call()?;
        let (odds, mut random) = (Odds::draw(&mut self.random), self.random.fork());
        let directory = self.directory_mut(id)?;
        if fails {
            directory.fail_sync(odds, &mut random);
            return Err(broken());
        }
        directory.sync();
        Ok(())
    }

    /// Within one directory, as the store does it.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.must_find(from)?;
        let parent = self.must_find(parent_of(from)?)?;
        if self.find(parent_of(to)?)? != Some(parent) {
            return Err(error(io::ErrorKind::CrossesDevices));
        }
        if let Some(other) = self.find(to)? {
            match (&self.nodes[node], &self.nodes[other]) {
                (Node::File(_), Node::File(_)) => {}
                (Node::Directory(_), Node::Directory(other)) if other.entries().is_empty() => {}
                _ => return Err(error(io::ErrorKind::DirectoryNotEmpty)),
            }
        }
        let (from, to) = (name_of(from)?, name_of(to)?);
        self.whole_call()?;
        self.directory_mut(parent)?.rename(from, to);
        Ok(())
    }

    pub(super) fn remove_tree(&mut self, path: &Path) -> io::Result<()> {
        let Some(id) = self.find(path)? else {
            return Ok(());
        };
        for name in self.names(path)? {
            let child = path.join(name);
            match self.nodes[self.must_find(&child)?] {
                Node::Directory(_) => self.remove_tree(&child)?,
                Node::File(_) => self.remove_name(&child)?,
            }
        }
        self.directory(id)?;
        self.remove_name(path)
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        match self.find(path)? {
            Some(id) => {
                self.file(id)?;
                self.remove_name(path)
            }
            None => Ok(()),
        }
    }

    fn remove_name(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = (self.must_find(parent_of(path)?)?, name_of(path)?);
        self.whole_call()?;
        self.directory_mut(parent)?.remove(name);
        Ok(())
    }

    pub(super) fn write(&mut self, id: usize, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let fails = self.call()?;
        let mut fitting = bytes.len();
        let mut result = Ok(());
        if fails {
            fitting = self.random.usize(0..=bytes.len());
            result = Err(broken());
        } else if let Some(room) = self.room()? {
            // What a file has already is written over; what goes past its end takes room.
            let inside = self.file(id)?.data().len().saturating_sub(offset);
            if inside.saturating_add(room) < bytes.len() {
                fitting = inside.saturating_add(room);
                result = Err(full());
            }
        }
        if fitting > 0 {
            self.file_mut(id)?.write(&bytes[..fitting], offset);
        }
        result
    }

    pub(super) fn set_length(&mut self, id: usize, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.whole_call()?;
        let more = length.saturating_sub(self.file(id)?.data().len());
        if self.room()?.is_some_and(|room| room < more) {
            return Err(full());
        }
        self.file_mut(id)?.set_length(length);
        Ok(())
    }

    pub(super) fn reserve(&mut self, path: &Path, bytes: u64) -> io::Result<()> {
        let id = self.open(path)?;
        self.whole_call()?;
        let more = bytes.saturating_sub(self.file(id)?.used());
        if self.room()?.is_some_and(|room| (room as u64) < more) {
            return Err(full());
        }
        self.file_mut(id)?.reserve(bytes);
        Ok(())
    }

    pub(super) fn sync(&mut self, id: usize) -> io::Result<()> {
        let fails = self.call()?;
        let (odds, mut random) = (Odds::draw(&mut self.random), self.random.fork());
        let file = self.file_mut(id)?;
        if fails {
            file.fail_sync(odds, &mut random);
            return Err(broken());
        }
        file.sync();
        Ok(())
    }

    /// Bytes and names of what is at and below a path.
    pub(super) fn used(&self, path: &Path) -> io::Result<(u64, u64)> {
        Ok(self.find(path)?.map_or((0, 0), |id| self.used_by(id)))
    }

    fn used_by(&self, id: usize) -> (u64, u64) {
        match &self.nodes[id] {
            Node::File(file) => (file.used(), 1),
            Node::Directory(directory) => directory
                .entries()
                .values()
                .map(|child| self.used_by(*child))
                .fold((0, 1), |sum, used| (sum.0 + used.0, sum.1 + used.1)),
        }
    }

    /// Bytes that are left; `None` where there is no limit.
    fn room(&self) -> io::Result<Option<usize>> {
        let Some(limit) = self.plan.bytes else {
            return Ok(None);
        };
        let left = limit.saturating_sub(self.used(Path::new("/"))?.0);
        Ok(Some(usize::try_from(left).unwrap_or(usize::MAX)))
    }

    pub(super) fn space(&self) -> io::Result<Space> {
        let (bytes, names) = self.used(Path::new("/"))?;
        let honest = !self.plan.raced;
        const LARGE: u64 = 1 << 40;
        let limit = self.plan.bytes.filter(|_| honest).unwrap_or(LARGE);
        let names_limit = self.plan.names.filter(|_| honest).unwrap_or(u64::MAX);
        Ok(Space {
            free: limit.saturating_sub(bytes),
            total: if self.plan.shared { LARGE } else { limit },
            free_names: names_limit.saturating_sub(names),
        })
    }
}
