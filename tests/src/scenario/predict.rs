//! What the evaluator says of a flow.
