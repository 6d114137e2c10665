//! The documented cases, one by one: the Kubernetes documentation, the comments of the API, and what this project
//! decided where those leave room.

mod api_comments;
mod decisions;
mod kubernetes_docs;
mod world;
