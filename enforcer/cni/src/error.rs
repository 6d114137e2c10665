//! Errors as the CNI specification has them.

use serde::Serialize;

use crate::protocol::Refusal;

/// An error that ends the plugin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Error(pub(crate) Refusal);

impl Error {
    pub(crate) fn new(code: u32, message: impl Into<String>, details: impl Into<String>) -> Self {
        Self(Refusal { code, message: message.into(), details: details.into() })
    }

    /// The error as the runtime reads it from standard output.
    pub(crate) fn json(&self, version: &str) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Written<'e> {
            cni_version: &'e str,
            code: u32,
            msg: &'e str,
            #[serde(skip_serializing_if = "str::is_empty")]
            details: &'e str,
        }
        let Refusal { code, message, details } = &self.0;
        let written = Written { cni_version: version, code: *code, msg: message, details };
        serde_json::to_string(&written).expect("plain strings can be written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_shape_of_the_specification() {
        let error = Error::new(11, "not \"yet\"", "wait");
        assert_eq!(
            error.json("1.0.0"),
            r#"{"cniVersion":"1.0.0","code":11,"msg":"not \"yet\"","details":"wait"}"#
        );
        assert_eq!(Error::new(4, "no", "").json("1.1.0"), r#"{"cniVersion":"1.1.0","code":4,"msg":"no"}"#);
    }
}
