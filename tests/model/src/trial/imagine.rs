use super::Setting;
use crate::model::{Broken, Model, Rule};
use crate::operation::Operation;
use crate::resolve::{Step, resolve};

/// Does a sequence to a model alone, which forgets a rule: are the invariants enough to notice?
///
/// # Errors
/// The first invariant that does not hold.
pub fn imagine(setting: Setting, operations: &[Operation], forgets: Rule) -> Result<(), Broken> {
    let mut model = Model::new(setting.clock()).forgetting(forgets);
    for operation in operations {
        let (clock, transaction) = match resolve(operation, &model) {
            Step::Nothing => continue,
            Step::Pass(clock) => (clock, None),
            Step::Send(clock, transaction) => (clock, Some(transaction)),
        };
        model.clock = clock;
        let Some(transaction) = transaction else { continue };
        let before = model.clone();
        if model.execute(&transaction).is_ok() {
            model.check()?;
            model.check_against(&before, &transaction.signers())?;
        }
    }
    Ok(())
}
