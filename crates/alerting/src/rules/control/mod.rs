//! Control charts: small pure machines that see a shift of the mean in noisy readings. They know no unit: a caller gives
//! thousandths of its own ("milli"), so that state is whole numbers, the same on every machine and through every snapshot.
mod cusum;
mod ewma;

pub use cusum::{Cusum, CusumChart, Shift};
pub use ewma::Ewma;
