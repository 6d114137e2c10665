//! Proof that a changed text means what it should.

use netpol_policy::source::{PolicySource, ProblemKind};

use crate::file::SourceFile;
use crate::finding::{Applicability, Fix};

/// Compares a file before and after some fixes, each with the index of its policy. An error says what doesn't hold.
pub(super) fn prove(before: &SourceFile, after: &SourceFile, fixes: &[(usize, &Fix)]) -> Result<(), String> {
    if after.manifest.errors.len() > before.manifest.errors.len() {
        let error =
            after.manifest.errors.iter().map(|error| &*error.message).next().unwrap_or("unknown error");
        return Err(format!("the text could not be read afterwards: {error}"));
    }
    if after.policies().count() != before.policies().count() {
        return Err("the file would hold another number of policies afterwards".to_owned());
    }
    for (index, ((_, before), (_, after))) in before.policies().zip(after.policies()).enumerate() {
        let of_policy = fixes.iter().filter(|(policy, _)| *policy == index).map(|(_, fix)| *fix);
        let (mut touched, mut changing) = (false, None);
        for fix in of_policy {
            touched = true;
            if fix.applicability == Applicability::Unsafe {
                changing = Some(fix);
            }
        }
        match changing {
            None => unchanged(before, after, touched)?,
            Some(fix) => changed_as_told(before, after, fix)?,
        }
    }
    Ok(())
}

/// The meaning is the same. A policy that the API server refuses has no meaning; there at least one problem must have
/// gone and none have come.
fn unchanged(before: &PolicySource, after: &PolicySource, touched: bool) -> Result<(), String> {
    no_new_problems(before, after)?;
    if before.model.is_some() && before.model != after.model {
        return Err("the meaning of a policy would change".to_owned());
    }
    if touched && before.model.is_none() && after.problems.len() >= before.problems.len() {
        return Err("no problem would be solved".to_owned());
    }
    Ok(())
}

fn changed_as_told(before: &PolicySource, after: &PolicySource, fix: &Fix) -> Result<(), String> {
    no_new_problems(before, after)?;
    if before.model.is_some() && after.model.is_none() {
        return Err("the API server would refuse the policy afterwards".to_owned());
    }
    match &fix.expected {
        Some(expected) if after.model.as_ref() != Some(expected) => {
            Err("the policy would mean something else than intended".to_owned())
        }
        _ => Ok(()),
    }
}

fn no_new_problems(before: &PolicySource, after: &PolicySource) -> Result<(), String> {
    let count =
        |policy: &PolicySource, kind: ProblemKind| policy.problems.iter().filter(|p| p.kind == kind).count();
    match after.problems.iter().find(|problem| count(after, problem.kind) > count(before, problem.kind)) {
        Some(problem) => Err(format!("there would be a new problem: {}", problem.message)),
        None => Ok(()),
    }
}
