//! ekio in the traits of others, each behind a feature of its name.

#[cfg(feature = "hyper")]
pub mod hyper;
