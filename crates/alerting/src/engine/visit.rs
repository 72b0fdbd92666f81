//! The visit that a use belongs to: as the device says it, else guessed from its sessions.
use std::time::Duration;

use telemetry::{Serial, UnixMicros};

use super::frame::Context;
use super::state::{Device, Visit};
use super::{ColdError, Engine, Slot};
use crate::id::Opaque;

/// Sessions without a visit belong to one visit if no more than this lies between them: a battery swap takes minutes (our
/// choice; a device that says its visits needs no guess).
const SAME_VISIT_WITHIN: Duration = Duration::from_secs(600);

impl Engine {
    /// The visit that a use belongs to; a new one is judged by the hygiene rules.
    pub(super) fn visit(
        &mut self,
        context: &Context<'_>,
        slot: &mut Slot,
        at: UnixMicros,
        cartridge: Option<&Serial>,
    ) -> Result<Option<Visit>, ColdError> {
        let Some(visit) = visit_of(&slot.device, context, at) else {
            return Ok(None);
        };
        let before = slot.device.visit;
        match before {
            Some(known) if known.key == visit.key => {
                slot.device.visit = Some(Visit {
                    given: known.given || visit.given,
                    last: known.last.max(at),
                    ..known
                });
            }
            // Of an older visit, told late: it changes nothing that came after it.
            Some(known) if at < known.first => {}
            _ => {
                slot.device.visit = Some(visit);
                slot.device.cartridge = None;
                self.new_visit(context, slot, visit, before)?;
            }
        }
        if let Some(cartridge) = cartridge {
            self.cartridge(context, slot, visit, cartridge, at)?;
        }
        Ok(Some(visit))
    }
}

/// The visit that a frame says, or that the device's silence about it leaves.
fn visit_of(device: &Device, context: &Context<'_>, at: UnixMicros) -> Option<Visit> {
    let of = |key, given| Visit {
        key,
        given,
        first: at,
        last: at,
    };
    if let Some(visit) = context.header.visit {
        return Some(of(Opaque(*visit.bytes()), true));
    }
    let session = context.session?;
    let goes_on = device
        .visit
        .filter(|known| at.since(known.last) <= SAME_VISIT_WITHIN || known.key == session);
    Some(of(goes_on.map_or(session, |known| known.key), false))
}
