//! `mov_cr3`, `mov_cr4` and `invpcid`: bare instructions on the registers of a CPU and on the translations that it has cached
//! under PCIDs (SDM vol. 3A, 4.10.1 and 4.10.4.1).

use std::fmt;

use serde_json::Value;
use sim_mm::bare;
use sim_mmu::{Invpcid, Pcid, VirtAddr};

use super::argument::Argument;
use super::{Operation, Running, operation};
use crate::json::{Bool, Fields, Int, Kind, Named, Node};
use crate::stage::{Place, Task};

operation! {
    /// MOV to CR3 of the root that CR3 has already. It drops the translations of this CPU under the PCID, except global ones.
    /// While CR4.PCIDE is clear, it drops all that are not global, and fails with EFAULT (#GP) if `preserve` is true.
    "mov_cr3" MovCr3 {
        /// The PCID: the low bits of the value. If this is not given, it is the PCID that CR3 has already.
        optional "pcid" pcid: PcidNumber,
        /// Bit 63 of the value. If it is set, nothing is dropped.
        or (false) "preserve" preserve: Bool,
    }
}

operation! {
    /// MOV to CR4 that changes PCIDE alone. If PCIDE is cleared, this CPU drops all its translations. If PCIDE is set while CR3
    /// has a PCID other than 0, the operation fails with EFAULT (#GP). The kernel still runs under PCID 0.
    "mov_cr4" MovCr4 {
        /// Whether translations are tagged with PCIDs from now on.
        required "pcide" pcide: Bool,
    }
}

operation! {
    /// INVPCID drops some translations of this CPU. Two types look at the PCID. With these the operation fails with EFAULT (#GP)
    /// if the PCID is not 0 while CR4.PCIDE is clear.
    "invpcid" InvpcidOperation {
        /// The type, which says what is dropped.
        required "type" kind: InvpcidType,
        /// The PCID whose translations are dropped, for `single_context` and `individual_address`. Other types do not look at it.
        or (0) "pcid" pcid: PcidNumber,
        /// The page. It must be given for `individual_address`.
        optional "at" at: Place,
    }
    where has_its_address
}

/// A PCID: 12 bits.
pub(crate) struct PcidNumber;

type Bits12 = Int<u16, 0, 4095>;

impl Kind for PcidNumber {
    type Value = u16;

    fn decode(node: &Node<'_>) -> Option<u16> {
        Bits12::decode(node)
    }

    fn schema() -> Value {
        Bits12::schema()
    }
}

impl Argument for PcidNumber {}

/// The type of INVPCID, as the SDM has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvpcidType {
    IndividualAddress,
    SingleContext,
    AllContexts,
    AllContextsButGlobals,
}

impl Named for InvpcidType {
    const WHAT: &'static str = "type of INVPCID";
    const NAMES: &'static [(InvpcidType, &'static str)] = &[
        (InvpcidType::AllContexts, "all_contexts"),
        (InvpcidType::AllContextsButGlobals, "all_contexts_but_globals"),
        (InvpcidType::SingleContext, "single_context"),
        (InvpcidType::IndividualAddress, "individual_address"),
    ];

    fn about(self) -> Option<&'static str> {
        Some(match self {
            InvpcidType::IndividualAddress => {
                "Type 0: those of a page under a PCID; global ones may stay."
            }
            InvpcidType::SingleContext => "Type 1: all under a PCID; global ones may stay.",
            InvpcidType::AllContexts => "Type 2: all, global ones too.",
            InvpcidType::AllContextsButGlobals => "Type 3: all under every PCID; global ones may stay.",
        })
    }
}

impl Argument for InvpcidType {}

fn has_its_address(fields: &Fields<'_>, invpcid: &InvpcidOperation) -> Option<()> {
    if invpcid.kind == InvpcidType::IndividualAddress && invpcid.at.is_none() {
        fields.get("type")?.error("this type needs the page: `at`".to_owned());
        return None;
    }
    Some(())
}

impl InvpcidOperation {
    fn what(&self, address: VirtAddr) -> Invpcid {
        let pcid = Pcid(self.pcid);
        match self.kind {
            InvpcidType::IndividualAddress => Invpcid::Address(pcid, address),
            InvpcidType::SingleContext => Invpcid::Context(pcid),
            InvpcidType::AllContexts => Invpcid::All,
            InvpcidType::AllContextsButGlobals => Invpcid::AllNonGlobal,
        }
    }
}

impl fmt::Display for MovCr3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mov cr3")?;
        if let Some(pcid) = self.pcid {
            write!(f, ", PCID {pcid}")?;
        }
        f.write_str(if self.preserve { ", which drops nothing" } else { "" })
    }
}

impl fmt::Display for MovCr4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mov cr4, PCIDE {}", if self.pcide { "set" } else { "clear" })
    }
}

impl fmt::Display for InvpcidOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pcid = self.pcid;
        match (self.kind, &self.at) {
            (InvpcidType::IndividualAddress, Some(at)) => write!(f, "invpcid {at}, PCID {pcid}"),
            (InvpcidType::IndividualAddress | InvpcidType::SingleContext, _) => write!(f, "invpcid of PCID {pcid}"),
            (InvpcidType::AllContexts, _) => f.write_str("invpcid of all"),
            (InvpcidType::AllContextsButGlobals, _) => f.write_str("invpcid of all but globals"),
        }
    }
}

impl Operation for MovCr3 {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            bare::reload_cr3(task.cpu, self.pcid.map(Pcid), self.preserve).await?;
            Ok(0)
        })
    }
}

impl Operation for MovCr4 {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            bare::set_pcide(task.cpu, self.pcide).await?;
            Ok(0)
        })
    }
}

impl Operation for InvpcidOperation {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let address = self.at.as_ref().map(|at| task.address(at)).transpose()?;
            bare::invpcid(task.cpu, self.what(address.unwrap_or(VirtAddr(0)))).await?;
            Ok(0)
        })
    }
}
