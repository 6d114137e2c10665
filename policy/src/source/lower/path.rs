use std::fmt;

/// A JSON path that costs nothing until somebody asks for its text.
#[derive(Clone, Copy)]
pub(in crate::source) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Field(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    pub(in crate::source) const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    pub(in crate::source) fn field(&'p self, name: &'p str) -> Path<'p> {
        Path { parent: Some(self), step: Step::Field(name) }
    }

    pub(in crate::source) fn index(&'p self, index: usize) -> Path<'p> {
        Path { parent: Some(self), step: Step::Index(index) }
    }
}

/// `spec.ingress[0].from[1]`; a field that is no plain word as `["app.kubernetes.io/name"]`.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        parent.fmt(f)?;
        match self.step {
            Step::Root => Ok(()),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Field(name) if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                write!(f, "[{name:?}]")
            }
            Step::Field(name) if parent.parent.is_none() => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
        }
    }
}
