//! System calls on mappings.

use sim_mm::{
    Advice, Lock, MapFlags, Mmap, MovePages, Mremap, MremapFlags, MsFlags, Prot, sys_madvise, sys_mincore,
    sys_mlock, sys_mmap, sys_move_pages, sys_mprotect, sys_mremap, sys_msync, sys_munlock, sys_munmap,
};

use super::super::trace::{Access, Args, Returned};
use super::actor::{Actor, Code, done, note, returned};

/// A subset of `rwx`, or `none`.
fn prot(text: &str) -> Option<Prot> {
    if text == "none" {
        return Some(Prot::empty());
    }
    text.chars().try_fold(Prot::empty(), |prot, letter| {
        let bit = match letter {
            'r' => Prot::READ,
            'w' => Prot::WRITE,
            'x' => Prot::EXEC,
            _ => return None,
        };
        Some(prot | bit)
    })
}

/// Flags joined by commas, by their names in a trace. `none` means no flag.
fn flags<F: Copy + std::ops::BitOr<Output = F> + Default>(text: &str, names: &[(&str, F)]) -> Option<F> {
    text.split(',').filter(|name| *name != "none" && !name.is_empty()).try_fold(F::default(), |flags, name| {
        let (_, flag) = names.iter().find(|(known, _)| *known == name)?;
        Some(flags | *flag)
    })
}

const MAP_FLAGS: &[(&str, MapFlags)] = &[
    ("fixed", MapFlags::FIXED),
    ("noreplace", MapFlags::FIXED_NOREPLACE),
    ("populate", MapFlags::POPULATE),
    ("noreserve", MapFlags::NORESERVE),
    ("locked", MapFlags::LOCKED),
];

/// Anonymous memory or a memfd, at a fixed place.
pub(super) fn mmap<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, _) = actor.range(args)?;
    let mut flags = flags(args.flags.as_deref()?, MAP_FLAGS)?;
    match args.share.as_deref()? {
        "private" => {}
        "shared" => flags |= MapFlags::SHARED,
        _ => return None,
    }
    let (file, pgoff) = match args.kind.as_deref()? {
        "anon" => (None, 0),
        "file" => (Some(actor.memfd(args)?), args.off?),
        _ => return None,
    };
    let prot = prot(args.prot.as_deref()?)?;
    let request = Mmap { addr: Some(start), pages: args.n?, prot, flags, file, pgoff };
    Some(Box::pin(async move { returned(sys_mmap(actor.cpu, request).await.map(|_| 0)) }))
}

pub(super) fn munmap<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, end) = actor.range(args)?;
    Some(Box::pin(async move { done(sys_munmap(actor.cpu, start, end).await) }))
}

pub(super) fn mprotect<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, end) = actor.range(args)?;
    let prot = prot(args.prot.as_deref()?)?;
    Some(Box::pin(async move { done(sys_mprotect(actor.cpu, start, end, prot).await) }))
}

const MREMAP_FLAGS: &[(&str, MremapFlags)] =
    &[("maymove", MremapFlags::MAYMOVE), ("fixed", MremapFlags::FIXED), ("dontunmap", MremapFlags::DONTUNMAP)];

pub(super) fn mremap<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let request = Mremap {
        addr: actor.page(args.pg?),
        old_pages: args.n?,
        new_pages: args.nn?,
        flags: flags(args.flags.as_deref().unwrap_or_default(), MREMAP_FLAGS)?,
        new_addr: args.to.map(|to| actor.page(to)),
    };
    Some(Box::pin(async move {
        let moved = sys_mremap(actor.cpu, request).await;
        returned(moved.map(|to| (to.vpn().0 - actor.window.vpn().0).cast_signed()))
    }))
}

pub(super) fn madvise<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, end) = actor.range(args)?;
    let name = args.adv.as_deref()?.to_ascii_lowercase();
    let (advice, _) = *Advice::NAMES.iter().find(|(_, known)| *known == name)?;
    Some(Box::pin(async move { done(sys_madvise(actor.cpu, start, end, advice).await) }))
}

pub(super) fn mlock<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, end) = actor.range(args)?;
    let lock = match args.flags.as_deref() {
        None => Lock::Now,
        Some("onfault") => Lock::OnFault,
        Some(_) => return None,
    };
    Some(Box::pin(async move { done(sys_mlock(actor.cpu, start, end, lock).await) }))
}

pub(super) fn munlock<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, end) = actor.range(args)?;
    Some(Box::pin(async move { done(sys_munlock(actor.cpu, start, end).await) }))
}

pub(super) fn mincore<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, end) = actor.range(args)?;
    let first = args.pg?;
    Some(Box::pin(async move {
        match sys_mincore(actor.cpu, start, end).await {
            Ok(resident) => {
                let mut bits = Vec::new();
                for (page, is_there) in (first..).zip(resident) {
                    note(&mut bits, page, Access::Value(i16::from(is_there)));
                }
                Returned { ret: Some(0), acc: bits, ..Returned::default() }
            }
            Err(errno) => done(Err(errno)),
        }
    }))
}

/// The recorder shows the status of each page as a number: its node, or an errno below zero. A status that was not told shows as 0.
pub(super) fn move_pages<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let all = match args.flags.as_deref() {
        None => false,
        Some("all") => true,
        Some(_) => return None,
    };
    let first = args.pg?;
    let request = MovePages { start: actor.page(first), pages: args.n?, node: args.node?, all };
    Some(Box::pin(async move {
        match sys_move_pages(actor.cpu, actor.machine.kernel.mm(actor.mm), request).await {
            Ok((failed, status)) => {
                let mut told = Vec::new();
                for (page, status) in (first..).zip(status) {
                    let value = match status {
                        None => 0,
                        Some(Ok(node)) => node.cast_signed(),
                        Some(Err(errno)) => errno.code(),
                    };
                    note(&mut told, page, Access::Value(value as i16));
                }
                Returned { ret: Some(failed.cast_signed()), acc: told, ..Returned::default() }
            }
            Err(errno) => done(Err(errno)),
        }
    }))
}

const MS_FLAGS: &[(&str, MsFlags)] =
    &[("sync", MsFlags::SYNC), ("async", MsFlags::ASYNC), ("invalidate", MsFlags::INVALIDATE)];

pub(super) fn msync<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, end) = actor.range(args)?;
    let flags = flags(args.flags.as_deref()?, MS_FLAGS)?;
    Some(Box::pin(async move { done(sys_msync(actor.cpu, start, end, flags).await) }))
}
