//! What a link carries, and its signature.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::digest::{Key, KeyInit};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use telemetry::UnixMicros;

use crate::id::{AlertId, TransitionId};

/// Bytes of the signature that a link carries: 128 bits.
const MAC_BYTES: usize = 16;
/// Longest link that is looked at, in characters.
const MAX_CHARS: usize = 512;
/// Longest recipient, in bytes.
const MAX_RECIPIENT: usize = 200;
/// Bytes before the recipient: action, alert, step, expiry.
const FIXED: usize = 1 + 16 + 16 + 8;

/// What a link allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// To look, and to see what can be done.
    Look,
    /// To acknowledge.
    Acknowledge,
    /// To take the acknowledgement back.
    Unacknowledge,
    /// To take it over.
    Assign,
    /// To write something.
    Annotate,
    /// To silence its rule on its device for an hour.
    Silence,
}

impl Act {
    /// Everything that acts, in the order in which it is offered.
    pub(crate) const ACTING: [Self; 5] = [
        Self::Acknowledge,
        Self::Assign,
        Self::Annotate,
        Self::Unacknowledge,
        Self::Silence,
    ];

    const fn to_byte(self) -> u8 {
        match self {
            Self::Look => 0,
            Self::Acknowledge => 1,
            Self::Unacknowledge => 2,
            Self::Assign => 3,
            Self::Annotate => 4,
            Self::Silence => 5,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        let acting = Self::ACTING.into_iter().find(|act| act.to_byte() == byte);
        acting.or((byte == 0).then_some(Self::Look))
    }
}

/// What a link is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) act: Act,
    pub(crate) alert: AlertId,
    pub(crate) step: TransitionId,
    /// The receiver or person that it was sent to: who acts by it.
    pub(crate) recipient: String,
    pub(crate) expires: UnixMicros,
}

/// Makes and checks links.
#[derive(Clone)]
pub(crate) struct Signer {
    mac: Hmac<Sha256>,
}

impl Signer {
    pub(crate) fn new(key: &[u8]) -> Self {
        // As RFC 2104 has it: hashed if longer than a block, then filled up with zeros; so no length can be refused.
        let mut block = Key::<Hmac<Sha256>>::default();
        let digest = Sha256::digest(key);
        let key = if key.len() > block.len() { &digest[..] } else { key };
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Self {
            mac: KeyInit::new(&block),
        }
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let mut mac = self.mac.clone();
        mac.update(bytes);
        mac.finalize().into_bytes().iter().copied().take(MAC_BYTES).collect()
    }

    /// The link's token.
    pub(crate) fn token(&self, bound: &Bound) -> String {
        let mut bytes = vec![bound.act.to_byte()];
        bytes.extend(bound.alert.0);
        bytes.extend(bound.step.0);
        bytes.extend(bound.expires.0.to_be_bytes());
        bytes.extend(bound.recipient.bytes().take(MAX_RECIPIENT));
        let mac = self.sign(&bytes);
        bytes.extend(mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token is bound to, and its signature as the name under which it is spent. `None`: nobody here made it.
    pub(crate) fn open(&self, token: &str) -> Option<(Bound, String)> {
        if token.len() > MAX_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (said, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        let mut expected = self.mac.clone();
        expected.update(said);
        // In a time that tells nothing of where they differ.
        expected.verify_truncated_left(mac).ok()?;
        let (fixed, recipient) = said.split_at_checked(FIXED)?;
        let bound = Bound {
            act: Act::from_byte(*fixed.first()?)?,
            alert: AlertId(fixed.get(1..17)?.try_into().ok()?),
            step: TransitionId(fixed.get(17..33)?.try_into().ok()?),
            expires: UnixMicros(i64::from_be_bytes(fixed.get(33..41)?.try_into().ok()?)),
            recipient: String::from_utf8(recipient.to_vec()).ok()?,
        };
        Some((bound, crate::id::hex(mac)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bound(act: Act, recipient: &str) -> Bound {
        Bound {
            act,
            alert: AlertId([1; 16]),
            step: TransitionId([2; 16]),
            recipient: recipient.to_owned(),
            expires: UnixMicros(1_800_000_000_000_000),
        }
    }

    #[test]
    fn the_signature_is_hmac_sha256_as_another_program_computes_it() {
        // python3 -c "import hmac,hashlib;print(hmac.new(b'k'*32,b'dermatel',hashlib.sha256).hexdigest()[:32])"
        let signer = Signer::new(&[b'k'; 32]);
        assert_eq!(
            crate::id::hex(&signer.sign(b"dermatel")),
            "294195d2e38e2766c96ef0e4152b9e36"
        );
    }

    proptest! {
        #[test]
        fn a_link_says_what_it_was_made_for_and_any_change_of_it_opens_nothing(
            recipient in "[a-z0-9-]{1,63}", act in 0usize..5, at in any::<prop::sample::Index>(), flip in 1u8..64,
        ) {
            let signer = Signer::new(&[7; 32]);
            let bound = bound(Act::ACTING[act], &recipient);
            let token = signer.token(&bound);
            prop_assert_eq!(signer.open(&token).unwrap().0, bound);
            let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(signer.open(&URL_SAFE_NO_PAD.encode(&bytes)).is_none());
            prop_assert!(Signer::new(&[8; 32]).open(&token).is_none());
        }

        #[test]
        fn foreign_bytes_open_nothing(token in "\\PC{0,600}") {
            prop_assert!(Signer::new(&[7; 32]).open(&token).is_none());
        }
    }
}
