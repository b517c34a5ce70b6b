//! Runs a model under loom: every interleaving of the steps of its threads, up to a bound of
//! preemptions, and never fewer than a model that explores something must have.
//!
//! Called by the models of the shared tables alone (`make loom`). It is in no process of a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Explores `model` with at most so many preemptions.
///
/// # Panics
/// When the model fails, or has fewer than `executions_min` executions: loom's search sees less of
/// a model that is written badly, and says nothing.
pub fn explore(
    preemptions: usize,
    executions_min: usize,
    model: impl Fn() + Sync + Send + 'static,
) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&executions);
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        model();
    });
    let executions = executions.load(Relaxed);
    assert!(
        executions >= executions_min,
        "only {executions} executions, at least {executions_min} were expected"
    );
}
