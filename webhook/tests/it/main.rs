//! The webhook as the API server meets it: the real program, real TLS, requests over loopback.

mod agreement;
mod certificates;
mod ending;
mod hostile;
mod limits;
mod manifests;
mod mutate;
mod pages;
mod support;
mod validate;
