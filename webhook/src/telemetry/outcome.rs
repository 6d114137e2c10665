//! What is told apart in metrics and logs.

/// A kind of review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Validate,
    Mutate,
    Protect,
}

/// How a review ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allowed,
    Denied,
    Malformed,
    TooLarge,
    Overloaded,
    TimedOut,
    Failed,
}

impl Endpoint {
    pub(crate) const ALL: [Self; 3] = [Self::Validate, Self::Mutate, Self::Protect];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Mutate => "mutate",
            Self::Protect => "protect",
        }
    }
}

impl Outcome {
    pub(crate) const ALL: [Self; 7] = [
        Self::Allowed,
        Self::Denied,
        Self::Malformed,
        Self::TooLarge,
        Self::Overloaded,
        Self::TimedOut,
        Self::Failed,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Overloaded => "overloaded",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
        }
    }
}
