//! What a crash leaves of a disk.

use crate::sim::disk::{Entry, Inode, State, Version, SECTOR_BYTES};
use crate::sim::rng::Rng;
use crate::sim::world::World;
use std::path::PathBuf;

/// How an engine ends without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: what the system was told goes its way; an operation under way may
    /// be done in part.
    Process,
    /// The power goes: only what is on stable storage is sure.
    Power,
}

/// A sector under write when the power goes may hold neither the old nor the new bytes; so often,
/// in parts of a million.
const SHREDDED: u64 = 100_000;

impl World {
    /// Leaves of the disk what a crash of this kind might leave.
    pub fn crash_disk(&self, crash: Crash) {
        let mut state = self.disk.state.borrow_mut();
        let order = state.number();
        for inode in state.inodes.values_mut() {
            land_flying(inode, order, crash, &self.rng);
            if crash == Crash::Power {
                forget_versions(inode, &self.rng);
            }
        }
        if crash == Crash::Power {
            forget_names(&mut state, &self.rng);
        }
        let State { inodes, names, stable, .. } = &mut *state;
        let named = |inode: &u64| {
            names.values().chain(stable.values()).any(|entry| *entry == Entry::File(*inode))
        };
        inodes.retain(|inode, _| named(inode));
    }
}

/// Of each write under way, each sector is done or not, or shredded.
fn land_flying(inode: &mut Inode, order: u64, crash: Crash, rng: &Rng) {
    for flying in std::mem::take(&mut inode.flying).into_values() {
        for (step, sector) in flying.bytes.chunks(SECTOR_BYTES as usize).enumerate() {
            let at = flying.at + step as u64 * SECTOR_BYTES;
            if crash == Crash::Power && rng.chance(SHREDDED) {
                inode.put(at, &rng.bytes(sector.len()), order, true);
            } else if rng.flip() {
                inode.put(at, sector, order, false);
            }
        }
    }
}

/// Of each sector written and not made durable, any version may be what stays.
fn forget_versions(inode: &mut Inode, rng: &Rng) {
    for versions in inode.sectors.values_mut().filter(|versions| versions.len() > 1) {
        let mut left: Vec<Version> = Vec::with_capacity(1);
        let may_stay: Vec<&Version> = versions
            .iter()
            .enumerate()
            .filter(|(at, v)| *at == 0 || !v.lost)
            .map(|v| v.1)
            .collect();
        left.extend(rng.pick(&may_stay).map(|version| (*version).clone()));
        *versions = left;
    }
    if inode.size != inode.stable_size && rng.flip() {
        inode.size = inode.stable_size;
    }
    inode.stable_size = inode.size;
}

/// A name made or taken away since its folder was synced may be there or not.
fn forget_names(state: &mut State, rng: &Rng) {
    let mut doubtful: Vec<PathBuf> =
        state.names.keys().chain(state.stable.keys()).cloned().collect();
    doubtful.sort();
    doubtful.dedup();
    doubtful.retain(|name| state.names.get(name) != state.stable.get(name));
    for name in doubtful {
        if rng.flip() {
            match state.stable.get(&name).copied() {
                Some(entry) => state.names.insert(name, entry),
                None => state.names.remove(&name),
            };
        }
    }
    // What lies in a folder that is gone is gone with it.
    let kept = state.names.clone();
    state.names.retain(|name, _| {
        name.ancestors()
            .skip(1)
            .all(|dir| dir.parent().is_none() || matches!(kept.get(dir), Some(Entry::Dir)))
    });
    state.stable = state.names.clone();
}
