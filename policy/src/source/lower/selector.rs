//! Label selectors.

use crate::model::{LabelKey, LabelSelector, LabelValue, Requirement};
use crate::source::problem::ProblemKind;
use crate::source::{Expression, SelectorSource};
use crate::span::Span;
use crate::syntax::Node;

use super::context::{Context, NullItems};
use super::metadata::label;
use super::path::Path;
use super::suggest;

const FIELDS: [&str; 2] = ["matchLabels", "matchExpressions"];
const EXPRESSION_FIELDS: [&str; 3] = ["key", "operator", "values"];
const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// A selector that is there: `{}` selects everything.
pub(super) fn selector(
    context: &mut Context,
    node: Node<'_>,
    path: &Path<'_>,
) -> Option<Box<SelectorSource>> {
    let fields = context.fields(node, path, FIELDS)?;
    let [labels, expressions] = fields.known;
    let stray = context.stray(&fields.stray, path, "a selector", &FIELDS);
    let outer = std::mem::take(&mut context.rejected);
    let mut requirements = Vec::new();

    let labels_path = path.field("matchLabels");
    let match_labels = context.slot(labels, |context, node| context.pairs(node, &labels_path, "label"));
    for (key, value) in match_labels.value().into_iter().flatten() {
        if let Some((key, value)) = label(context, ProblemKind::InvalidSelector, key, value, &labels_path) {
            requirements.push(Requirement::equals(key, value));
        }
    }
    let expressions_path = path.field("matchExpressions");
    let match_expressions = context.slot(expressions, |context, node| {
        context.list(node, &expressions_path, NullItems::Refused, |context, node, path| {
            let (expression, requirement) = expression(context, node, path)?;
            requirements.extend(requirement);
            Some(expression)
        })
    });
    let model = (!context.rejected).then(|| LabelSelector::new(requirements));
    context.rejected |= outer;
    Some(Box::new(SelectorSource { match_labels, match_expressions, stray, model }))
}

fn expression(
    context: &mut Context,
    node: Node<'_>,
    path: &Path<'_>,
) -> Option<(Expression, Option<Requirement>)> {
    let fields = context.fields(node, path, EXPRESSION_FIELDS)?;
    context.stray(&fields.stray, path, "a requirement", &EXPRESSION_FIELDS);
    let [key, operator, values] = fields.known;
    let before = std::mem::take(&mut context.rejected);

    let start = node.entries().next().map_or(node.span(), |entry| entry.key.span());
    let key = context.text_field(key, &path.field("key"));
    let operator = context.text_field(operator, &path.field("operator"));
    let values_path = path.field("values");
    let values = context.slot(values, |context, node| {
        context.list(node, &values_path, NullItems::Empty, |context, node, path| {
            context.label_value(node, path, "label")
        })
    });
    let mut wrong = |span: Span, path: &Path<'_>, message: String| {
        context.problem(ProblemKind::InvalidSelector, span, path, message).help = None;
    };

    let checked_key = match &key {
        None => {
            wrong(start, &path.field("key"), "a requirement needs a `key`".into());
            None
        }
        Some(key) => LabelKey::new(&key.value)
            .map_err(|error| wrong(key.span, &path.field("key"), error.to_string()))
            .ok(),
    };
    let mut checked_values = Vec::new();
    for (index, item) in values.value().iter().flat_map(|list| &list.items).enumerate() {
        // A null one is an empty text; one of another type is reported.
        match LabelValue::new(item.value.as_deref().unwrap_or_default()) {
            Ok(value) => checked_values.push(value),
            Err(error) => wrong(item.span, &values_path.index(index), error.to_string()),
        }
    }
    match &operator {
        None => wrong(start, &path.field("operator"), "a requirement needs an `operator`".into()),
        Some(operator) if !OPERATORS.contains(&&*operator.value) => {
            let message =
                format!("`{}` is no operator: use In, NotIn, Exists or DoesNotExist", operator.value);
            let near = suggest::nearest(&operator.value, OPERATORS.into_iter());
            context
                .problem(ProblemKind::InvalidSelector, operator.span, &path.field("operator"), message)
                .help = near.map(|near| format!("did you mean `{near}`?").into());
        }
        Some(operator) => {
            let takes_values = matches!(&*operator.value, "In" | "NotIn");
            let has_values = values.value().is_some_and(|list| !list.items.is_empty());
            if takes_values && !has_values {
                let message = format!("operator {} needs at least one value", operator.value);
                wrong(values.whole().unwrap_or(operator.span), &values_path, message);
            } else if !takes_values && has_values {
                let message = format!("operator {} takes no values", operator.value);
                wrong(values.whole().unwrap_or(operator.span), &values_path, message);
            }
        }
    }
    let requirement = match (&operator, checked_key) {
        (Some(operator), Some(key)) if !context.rejected => {
            Requirement::new(key, &operator.value, checked_values).ok()
        }
        _ => None,
    };
    context.rejected |= before;
    Some((Expression { key, operator, values }, requirement))
}
