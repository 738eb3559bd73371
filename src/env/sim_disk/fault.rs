//! What a test may do to a [`super::SimDisk`]: make calls fail, cut them short, or make a sync lie.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::env::disk::{DiskError, DiskErrorKind, OpKind};

/// Decides by its path whether a call is meant. A file counts by the path that it was opened with.
pub type PathTest = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

impl OpKind {
    /// Whether calls of this kind change the disk, and so are numbered.
    pub fn changes(self) -> bool {
        !matches!(self, Self::Open | Self::Read | Self::Look | Self::Space)
    }

    pub(super) fn error(self, path: &Path, kind: DiskErrorKind, detail: &str) -> DiskError {
        DiskError { kind, operation: self, path: path.to_owned(), detail: detail.to_owned() }
    }
}

/// One numbered call, as the trace remembers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Op {
    /// Its number, from 0 on.
    pub number: u64,
    /// What it was.
    pub kind: OpKind,
    /// On what.
    pub path: PathBuf,
    /// The new path of a rename.
    pub to: Option<PathBuf>,
    /// Where it wrote, in bytes; 0 for calls without a position.
    pub position: u64,
    /// How many bytes were to be written, or the new length; 0 for calls without one.
    pub len: u64,
    /// What a [`Fault`] did to it.
    pub effect: Option<Effect>,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5} {} {}", self.number, self.kind, self.path.display())?;
        if let Some(to) = &self.to {
            write!(f, " -> {}", to.display())?;
        }
        match self.kind {
            OpKind::Write => write!(f, " [{}, +{}]", self.position, self.len)?,
            OpKind::SetLen => write!(f, " = {}", self.len)?,
            _ => {}
        }
        self.effect.map_or(Ok(()), |effect| write!(f, " !{effect:?}"))
    }
}

/// What a fault does to the call that it meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The call fails with `Io` and changes nothing; a failed sync leaves its bytes waiting.
    Io,
    /// The call fails with `Full` and changes nothing.
    Full,
    /// The call fails with `TooManyFiles`.
    TooManyFiles,
    /// At most this many bytes are written; the call succeeds.
    ShortWrite(usize),
    /// At most this many bytes are read; the call succeeds.
    ShortRead(usize),
    /// The sync fails, and what it was to cover will never reach the device: reads still show it, later syncs
    /// succeed, and a crash takes it away. So do ext4 and XFS after a write-back error.
    LoseSync,
    /// A read without waiting answers that it would have to wait.
    WouldBlock,
}

/// One planned fault: which call it meets, and what it does.
#[derive(Clone)]
pub struct Fault {
    number: Option<u64>,
    kind: Option<OpKind>,
    path: Option<PathTest>,
    skip: u32,
    times: u32,
    effect: Effect,
}

impl Fault {
    /// Meets the changing call numbered `number`, counted from 0.
    pub fn at(number: u64, effect: Effect) -> Self {
        Self { number: Some(number), kind: None, path: None, skip: 0, times: 1, effect }
    }

    /// Meets the first call of `kind` on a path that fits.
    pub fn on(kind: OpKind, path: impl Fn(&Path) -> bool + Send + Sync + 'static, effect: Effect) -> Self {
        Self { number: None, kind: Some(kind), path: Some(Arc::new(path)), skip: 0, times: 1, effect }
    }

    /// Lets the first `calls` fitting calls pass.
    #[must_use]
    pub fn skipping(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// Meets `calls` fitting calls in a row instead of one; `u32::MAX` is for ever.
    #[must_use]
    pub fn times(mut self, calls: u32) -> Self {
        self.times = calls;
        self
    }

    /// What happens to this call, counting it when it fits.
    pub(super) fn meet(&mut self, number: Option<u64>, kind: OpKind, path: &Path) -> Option<Effect> {
        let fits = self.number.is_none_or(|wanted| number == Some(wanted))
            && self.kind.is_none_or(|wanted| kind == wanted)
            && self.path.as_ref().is_none_or(|test| test(path));
        if !fits || self.times == 0 {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        if self.times != u32::MAX {
            self.times -= 1;
        }
        Some(self.effect)
    }
}

impl Effect {
    /// The error of effects that fail a call by themselves.
    pub(super) fn error(self, kind: OpKind, path: &Path) -> Option<DiskError> {
        match self {
            Self::Io => Some(kind.error(path, DiskErrorKind::Io, "input/output error (planned)")),
            Self::Full => Some(kind.error(path, DiskErrorKind::Full, "no space left on device (planned)")),
            Self::TooManyFiles => {
                Some(kind.error(path, DiskErrorKind::TooManyFiles, "too many open files (planned)"))
            }
            Self::ShortWrite(_) | Self::ShortRead(_) | Self::LoseSync | Self::WouldBlock => None,
        }
    }
}

/// A rule that a test takes out, to see that the harness notices: the call answers `Ok` and does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ignore {
    /// Syncs of files.
    SyncData,
    /// Syncs of folders.
    SyncDir,
    /// Syncs of the whole file system.
    SyncFileSystem,
}

impl Ignore {
    pub(super) fn fits(self, kind: OpKind) -> bool {
        match self {
            Self::SyncData => kind == OpKind::SyncData,
            Self::SyncDir => kind == OpKind::SyncDir,
            Self::SyncFileSystem => kind == OpKind::SyncFileSystem,
        }
    }
}
