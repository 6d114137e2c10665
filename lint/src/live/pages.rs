//! Lists, page by page.

use http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::core::Status;
use serde::Deserialize;
use serde_json::Value;

use super::LiveError;
use super::connect::Api;
use super::kinds::Kind;

/// Objects of one page: few enough for any API server, many enough for few requests.
const PAGE: usize = 500;

/// How a list was read.
pub(super) enum Listed {
    All,
    /// Whoever asks may not read it.
    Forbidden,
    /// The API server doesn't have this kind.
    Unknown,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: Metadata,
    /// Go writes an empty list as null.
    #[serde(default)]
    items: Option<Vec<Value>>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default, rename = "continue")]
    next: String,
}

impl Api {
    /// Lists every object of a kind. `page` gets the objects of a page and the number of all so far.
    pub(super) async fn list(
        &self,
        kind: &'static Kind,
        page: &mut dyn FnMut(Vec<Value>, usize),
    ) -> Result<Listed, LiveError> {
        let (mut so_far, mut next) = (0, String::new());
        loop {
            match self.page(kind, &next).await {
                Ok(list) => {
                    let items = list.items.unwrap_or_default();
                    so_far += items.len();
                    page(items, so_far);
                    next = list.metadata.next;
                }
                Err(kube::Error::Api(status)) => match (status.code, status.metadata) {
                    (403, _) => return Ok(Listed::Forbidden),
                    (404, _) => return Ok(Listed::Unknown),
                    // The rest is of a newer state than what came before: good enough to go on with.
                    (410, Some(ListMeta { continue_: Some(rest), .. })) if !next.is_empty() => next = rest,
                    (_, metadata) => {
                        let status = Box::new(Status { metadata, ..*status });
                        return Err(self.error(kind.plural, &kube::Error::Api(status)));
                    }
                },
                Err(error) => return Err(self.error(kind.plural, &error)),
            }
            if next.is_empty() {
                return Ok(Listed::All);
            }
        }
    }

    async fn page(&self, kind: &Kind, next: &str) -> kube::Result<List> {
        let mut uri = format!("{}?limit={PAGE}", kind.path());
        if !next.is_empty() {
            // The token is URL-safe base64; some API servers of others may not keep to that.
            let escaped = next.bytes().map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            });
            uri.push_str("&continue=");
            uri.extend(escaped);
        }
        let request = Request::get(uri).body(Vec::new()).map_err(kube::Error::HttpError)?;
        self.client.request(request).await
    }
}
