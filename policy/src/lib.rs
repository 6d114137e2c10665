//! What a Kubernetes NetworkPolicy means: reader, model, evaluator.
