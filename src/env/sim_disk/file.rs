//! An open file of a [`super::SimDisk`].

use std::io::IoSlice;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::OpKind;
use super::fault::{Effect, Op};
use super::state::{Inode, State};
use crate::env::disk::{DiskError, DiskErrorKind, DiskResult, File};

/// One descriptor: it keeps the bytes readable when the name is gone.
pub(super) struct SimFile {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) inode: Inode,
    /// The path at opening; faults and lies go by it.
    pub(super) path: PathBuf,
    pub(super) is_writable: bool,
}

impl SimFile {
    fn error(&self, kind: OpKind, detail: &str) -> DiskError {
        kind.error(&self.path, DiskErrorKind::Io, detail)
    }

    fn op(&self, kind: OpKind, position: u64, len: u64) -> Op {
        Op { position, len, ..super::op(kind, &self.path) }
    }

    fn check_writable(&self, kind: OpKind) -> DiskResult<()> {
        if self.is_writable {
            Ok(())
        } else {
            Err(self.error(kind, "bad file descriptor: opened for reading"))
        }
    }

    /// How many of `len` bytes fit into the capacity, given how far the file grows.
    fn fitting(&self, state: &mut State, position: u64, len: usize) -> DiskResult<usize> {
        let held = state.file(self.inode).current.len() as u64;
        let room = held.saturating_add(state.free_bytes()).saturating_sub(position);
        match usize::try_from(room).unwrap_or(usize::MAX).min(len) {
            0 if len > 0 => {
                Err(OpKind::Write.error(&self.path, DiskErrorKind::Full, "no space left on device"))
            }
            fitting => Ok(fitting),
        }
    }

    fn read(&self, state: &mut State, buffer: &mut [u8], position: u64) -> DiskResult<usize> {
        let body = state.file(self.inode);
        let len = body.current.len() as u64;
        if position >= len || buffer.is_empty() {
            return Ok(0);
        }
        let mut end = len.min(position.saturating_add(buffer.len() as u64));
        for bad in &body.unreadable {
            if bad.contains(&position) {
                return Err(self.error(OpKind::Read, "input/output error (unreadable range)"));
            }
            if bad.start > position && !bad.is_empty() {
                end = end.min(bad.start);
            }
        }
        let count = (end - position) as usize;
        buffer[..count].copy_from_slice(&body.current[position as usize..end as usize]);
        Ok(count)
    }
}

/// The range's end, where a length of 0 does not mean "to the end".
fn range(position: u64, len: u64) -> Range<u64> {
    position..position.saturating_add(len)
}

impl File for SimFile {
    fn write_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> DiskResult<usize> {
        self.check_writable(OpKind::Write)?;
        let slices: Vec<&[u8]> = slices.iter().map(|slice| &slice[..]).collect();
        let bytes = slices.concat();
        let mut state = self.state.lock();
        let effect = state.enter_change(self.op(OpKind::Write, position, bytes.len() as u64))?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let wanted = match effect {
            Some(Effect::ShortWrite(count)) => count.clamp(1, bytes.len()),
            _ => bytes.len(),
        };
        let count = self.fitting(&mut state, position, wanted)?;
        state.write(self.inode, position, &bytes[..count]);
        Ok(count)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> DiskResult<usize> {
        let mut state = self.state.lock();
        let wanted = match state.enter(OpKind::Read, &self.path)? {
            Some(Effect::ShortRead(count)) => count.max(1).min(buffer.len()),
            _ => buffer.len(),
        };
        self.read(&mut state, &mut buffer[..wanted], position)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> DiskResult<Option<usize>> {
        let mut state = self.state.lock();
        let wanted = match state.enter(OpKind::Read, &self.path)? {
            Some(Effect::WouldBlock) => return Ok(None),
            Some(Effect::ShortRead(count)) => count.max(1).min(buffer.len()),
            _ => buffer.len(),
        };
        self.read(&mut state, &mut buffer[..wanted], position).map(Some)
    }

    fn len(&self) -> DiskResult<u64> {
        let mut state = self.state.lock();
        state.enter(OpKind::Look, &self.path)?;
        Ok(state.file(self.inode).current.len() as u64)
    }

    fn set_len(&self, len: u64) -> DiskResult<()> {
        self.check_writable(OpKind::SetLen)?;
        let mut state = self.state.lock();
        state.enter_change(self.op(OpKind::SetLen, 0, len))?;
        let held = state.file(self.inode).current.len() as u64;
        if len.saturating_sub(held) > state.free_bytes() {
            return Err(OpKind::SetLen.error(&self.path, DiskErrorKind::Full, "no space left on device"));
        }
        state.set_len(self.inode, len);
        Ok(())
    }

    fn sync_data(&self) -> DiskResult<()> {
        let mut state = self.state.lock();
        let effect = state.enter_change(self.op(OpKind::SyncData, 0, 0))?;
        if effect == Some(Effect::LoseSync) {
            state.take_units_of(self.inode);
            return Err(self.error(OpKind::SyncData, "input/output error (planned)"));
        }
        if !state.is_ignored(OpKind::SyncData, &self.path) {
            state.sync_file(self.inode);
        }
        Ok(())
    }

    fn start_writeback(&self, _position: u64, _len: u64) {
        // A hint without promise: waiting units may reach the device at any time anyway.
    }

    fn drop_cache(&self, position: u64, len: u64) {
        let mut state = self.state.lock();
        if !state.stopped {
            state.reload(self.inode, range(position, len));
        }
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.state.lock().file(self.inode).opens -= 1;
    }
}
