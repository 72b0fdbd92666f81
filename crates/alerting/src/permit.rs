//! Whether this instance may page: alone it always may; of several over the same frames one does, and the others stand by.
use std::time::Instant;

use tokio::sync::watch;

/// From when until when pages may leave; none: they may not.
pub type Window = Option<(Instant, Instant)>;

/// The permission to page. It ends by itself: whoever gives it has to give it anew in time, so that a process which was stopped for
/// a while, or is cut off, does not go on when another one has begun.
#[derive(Debug, Clone, Default)]
pub struct Permit(Option<watch::Receiver<Window>>);

impl Permit {
    /// For an instance that is alone.
    pub fn always() -> Self {
        Self(None)
    }

    /// For one of several.
    pub fn fenced(window: watch::Receiver<Window>) -> Self {
        Self(Some(window))
    }

    /// Whether there are others.
    pub fn is_fenced(&self) -> bool {
        self.0.is_some()
    }

    /// Whether pages may leave now.
    pub fn holds(&self) -> bool {
        let Some(window) = &self.0 else { return true };
        let now = Instant::now();
        window.borrow().is_some_and(|(from, until)| from <= now && now < until)
    }

    /// Resolves when pages may leave; never, if that is not given any more.
    pub async fn granted(mut self) {
        while !self.holds() {
            let from = self.0.as_ref().and_then(|window| window.borrow().map(|(from, _)| from));
            let begins = async {
                match from.filter(|from| *from > Instant::now()) {
                    Some(from) => tokio::time::sleep_until(from.into()).await,
                    None => std::future::pending().await,
                }
            };
            let Some(window) = &mut self.0 else { return };
            tokio::select! {
                () = begins => {}
                changed = window.changed() => {
                    if changed.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_permit_begins_and_ends_by_itself() {
        let (give, window) = watch::channel(None);
        let permit = Permit::fenced(window);
        assert!(!permit.holds() && Permit::always().holds());
        let from = Instant::now() + Duration::from_millis(50);
        give.send_replace(Some((from, from + Duration::from_secs(60))));
        permit.clone().granted().await;
        assert!(Instant::now() >= from && permit.holds());
        let end = Instant::now() + Duration::from_millis(50);
        give.send_replace(Some((from, end)));
        tokio::time::sleep_until(end.into()).await;
        assert!(!permit.holds());
    }
}
