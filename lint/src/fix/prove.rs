//! Proof that a changed text means what it should.

use netpol_policy::cover::Cover;
use netpol_policy::source::{PolicySource, ProblemKind};

use crate::file::SourceFile;
use crate::finding::{Applicability, Fix};

/// Compares a file before and after some fixes, each with the index of its policy. An error says what doesn't hold.
pub(crate) fn prove(before: &SourceFile, after: &SourceFile, fixes: &[(usize, &Fix)]) -> Result<(), String> {
    if after.manifest.errors.len() > before.manifest.errors.len() {
        let error =
            after.manifest.errors.iter().map(|error| &*error.message).next().unwrap_or("unknown error");
        return Err(format!("the text could not be read afterwards: {error}"));
    }
    let count = before.policies().count();
    let added: Vec<_> = fixes.iter().filter_map(|(_, fix)| fix.added.as_deref()).collect();
    if after.policies().count() != count + added.len() {
        return Err("the file would hold another number of policies afterwards".to_owned());
    }
    let news = after.policies().skip(count).map(|(_, policy)| policy.model.as_deref());
    if !news.eq(added.into_iter().map(Some)) {
        return Err("the new policy would mean something else than intended".to_owned());
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

/// The meaning is the same: the normalised policy is, or it allows exactly the same. A policy that the API server refuses has no meaning; there at least one problem must have
/// gone and none have come.
fn unchanged(before: &PolicySource, after: &PolicySource, touched: bool) -> Result<(), String> {
    no_new_problems(before, after)?;
    if let Some(model) = &before.model {
        let written = before.metadata.namespace.as_ref();
        let cover = Cover::new(written.map(|_| &*model.name.namespace));
        if !after.model.as_ref().is_some_and(|after| cover.equivalent(model, after)) {
            return Err("the meaning of a policy would change".to_owned());
        }
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
        Some(expected) if after.model.as_deref() != Some(expected) => {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const HEAD: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: ";

    /// What is said to a change of the spec of one policy, with the spec that the fix promises.
    fn outcome(before: &str, after: &str, fix: &Fix, promised: Option<&str>) -> String {
        let read =
            |spec: &str| SourceFile::read("test.yaml", format!("{HEAD}{spec}\n"), &Arc::from("default"));
        let model = |spec| read(spec).policies().find_map(|(_, policy)| policy.model.as_deref().cloned());
        let fix = fix.clone().expecting(promised.and_then(model));
        match prove(&read(before), &read(after), &[(0, &fix)]) {
            Ok(()) => "fine".to_owned(),
            Err(reason) => reason,
        }
    }

    #[test]
    fn safe_fixes_change_no_meaning() {
        let safe = |before, after| outcome(before, after, &Fix::safe("", []), None);
        assert_eq!(safe("{}", "{policyTypes: [Ingress]}"), "fine");
        assert_eq!(safe("{}", "{policyTypes: [Egress]}"), "the meaning of a policy would change");
        assert_eq!(safe("{ingress: [{from: []}]}", "{ingress: []}"), "the meaning of a policy would change");
        assert_eq!(safe("{policyTypes: [ingress]}", "{policyTypes: [Ingress]}"), "fine");
        assert_eq!(safe("{policyTypes: [ingress]}", "{policyTypes: [egress]}"), "no problem would be solved");
        assert_eq!(safe("{ingress: [{}, {}]}", "{ingress: [{}]}"), "fine");
        let worse = safe("{ingress: []}", "{ingress: [null]}");
        assert!(worse.starts_with("there would be a new problem: "), "{worse}");
        let broken = safe("{}", "{");
        assert!(broken.starts_with("the text could not be read afterwards: "), "{broken}");
        let more = safe("{}", "{}\n---\nkind: NetworkPolicy");
        assert_eq!(more, "the file would hold another number of policies afterwards");
    }

    #[test]
    fn unsafe_fixes_do_what_they_say() {
        let (before, after) = ("{egress: [{}]}", "{egress: [{}], policyTypes: [Egress]}");
        let fix = Fix::changing("", []);
        assert_eq!(outcome(before, after, &fix, None), "fine");
        assert_eq!(outcome(before, after, &fix, Some(after)), "fine");
        let other = outcome(before, after, &fix, Some(before));
        assert_eq!(other, "the policy would mean something else than intended");
        let refused = outcome(before, "{egress: [{ports: [{port: 0}]}]}", &fix, None);
        assert!(refused.starts_with("there would be a new problem: "), "{refused}");
    }

    #[test]
    fn other_policies_stay() {
        let file = |first: &str, second: &str| {
            let text = format!("{HEAD}{first}\n---\n{HEAD}{second}\n");
            SourceFile::read("test.yaml", text, &Arc::from("default"))
        };
        let (fix, before) = (Fix::changing("", []), file("{}", "{}"));
        let after = file("{policyTypes: [Egress]}", "{policyTypes: [Egress]}");
        assert_eq!(
            prove(&before, &after, &[(0, &fix)]),
            Err("the meaning of a policy would change".to_owned())
        );
        assert_eq!(prove(&before, &after, &[(0, &fix), (1, &fix)]), Ok(()));
    }
}
