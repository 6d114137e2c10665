//! The language server: what editors show while a manifest is written.
//!
//! [`serve`] speaks the language server protocol over a pair of pipes. It finds what `netpol-lint check` finds, with the other
//! manifests of the workspace as context, and offers the same fixes, each proven before it is offered.

mod actions;
mod diagnostics;
mod hover;
mod text;
mod transport;
mod uri;
mod workspace;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::mpsc;

use lsp_types as lsp;
use lsp_types::notification::{self as n, Notification as _};
use lsp_types::request::{self as r, Request as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::actions::Client;
use self::text::Encoding;
use self::transport::Frame;
use self::workspace::Workspace;

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client said goodbye.
    Shutdown,
    /// The client was gone without a word.
    Lost,
}

/// Serves one client until it leaves. An error means that the pipe holds something else than the protocol.
pub fn serve(mut input: impl BufRead + Send + 'static, output: &mut dyn Write) -> io::Result<End> {
    let (sender, frames) = mpsc::channel();
    // It isn't waited for: a client may keep the pipe open until the process has ended.
    std::thread::spawn(move || {
        while let Some(frame) = transport::read(&mut input).transpose() {
            let last = frame.is_err();
            if sender.send(frame).is_err() || last {
                return;
            }
        }
    });
    Session::new(output).run(&frames)
}

/// An error of the protocol: its code and a message.
#[derive(Debug)]
struct Failure(i64, String);

const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;
const NOT_INITIALIZED: i64 = -32002;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Running,
    ShutDown,
}

struct Session<'o> {
    output: &'o mut dyn Write,
    state: State,
    client: Client,
    watches: bool,
    workspace: Workspace,
    /// Something has changed since documents were checked.
    dirty: bool,
    /// What the client knows of each document.
    published: BTreeMap<String, (i32, Vec<lsp::Diagnostic>)>,
    told: Vec<String>,
}

impl<'o> Session<'o> {
    fn new(output: &'o mut dyn Write) -> Self {
        Self {
            output,
            state: State::New,
            client: Client { encoding: Encoding::Utf16, versioned_edits: false },
            watches: false,
            workspace: Workspace::default(),
            dirty: false,
            published: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    fn run(&mut self, frames: &mpsc::Receiver<io::Result<Frame>>) -> io::Result<End> {
        loop {
            // While keys are pressed quickly, only the last text is worth looking at.
            let next = match frames.try_recv() {
                Ok(frame) => Some(frame),
                Err(mpsc::TryRecvError::Disconnected) => None,
                Err(mpsc::TryRecvError::Empty) => {
                    self.publish()?;
                    frames.recv().ok()
                }
            };
            let Some(frame) = next else {
                return Ok(if self.state == State::ShutDown { End::Shutdown } else { End::Lost });
            };
            match frame? {
                Frame::Malformed(why) => self.answer(&Value::Null, Err(Failure(PARSE_ERROR, why)))?,
                Frame::Message(message) => {
                    if let Some(end) = self.message(message)? {
                        return Ok(end);
                    }
                }
            }
        }
    }

    fn message(&mut self, mut message: Value) -> io::Result<Option<End>> {
        let id = message.get("id").cloned();
        let params = message.get_mut("params").map(Value::take).unwrap_or_default();
        match (message.get("method").and_then(Value::as_str), id) {
            (Some(n::Exit::METHOD), None) => {
                let asked = self.state == State::ShutDown;
                return Ok(Some(if asked { End::Shutdown } else { End::Lost }));
            }
            (Some(method), None) => self.notification(method, params),
            (Some(method), Some(id)) => {
                let answer = self.request(method, params);
                self.answer(&id, answer)?;
                if method == r::Initialize::METHOD {
                    self.watch()?;
                }
            }
            // An answer of the client: nothing that was asked needs one.
            (None, Some(_)) if message.get("result").is_some() || message.get("error").is_some() => {}
            (None, id) => {
                let failure = Failure(INVALID_REQUEST, "a message without a method".to_owned());
                self.answer(&id.unwrap_or_default(), Err(failure))?;
            }
        }
        Ok(None)
    }

    fn request(&mut self, method: &str, params: Value) -> Result<Value, Failure> {
        match (self.state, method) {
            (State::New, r::Initialize::METHOD) => return self.initialize(parse(params)?),
            (State::New, _) => {
                return Err(Failure(NOT_INITIALIZED, "`initialize` comes first".to_owned()));
            }
            (State::ShutDown, _) => {
                return Err(Failure(INVALID_REQUEST, "the server has been shut down".to_owned()));
            }
            (State::Running, _) => {}
        }
        // A mistake of ours is no reason to leave the editor alone.
        let answer = panic::catch_unwind(AssertUnwindSafe(|| match method {
            r::Shutdown::METHOD => {
                self.state = State::ShutDown;
                Ok(Value::Null)
            }
            r::HoverRequest::METHOD => self.hover(&parse(params)?),
            r::CodeActionRequest::METHOD => self.actions(&parse(params)?),
            r::Initialize::METHOD => Err(Failure(INVALID_REQUEST, "initialized already".to_owned())),
            _ => Err(Failure(METHOD_NOT_FOUND, format!("`{method}` is not known here"))),
        }));
        answer.unwrap_or_else(|_| Err(Failure(INTERNAL_ERROR, format!("`{method}` went wrong"))))
    }

    fn initialize(&mut self, params: lsp::InitializeParams) -> Result<Value, Failure> {
        let general = params.capabilities.general.and_then(|general| general.position_encodings);
        self.client.encoding = Encoding::choose(&general.unwrap_or_default());
        let workspace = params.capabilities.workspace.unwrap_or_default();
        let edits = workspace.workspace_edit.and_then(|edit| edit.document_changes);
        self.client.versioned_edits = edits == Some(true);
        let watching = workspace.did_change_watched_files.and_then(|watch| watch.dynamic_registration);
        self.watches = watching == Some(true);
        #[allow(deprecated, reason = "older clients know only this")]
        let root: Vec<_> = params.root_uri.into_iter().collect();
        let folders = params.workspace_folders.filter(|folders| !folders.is_empty());
        let folders = folders.map_or(root, |folders| folders.into_iter().map(|folder| folder.uri).collect());
        self.workspace.scan(Some(folders.iter().filter_map(uri::path).collect()));
        self.state = State::Running;
        let kinds = vec![lsp::CodeActionKind::QUICKFIX, lsp::CodeActionKind::new(actions::FIX_ALL)];
        let sync = lsp::TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(lsp::TextDocumentSyncKind::INCREMENTAL),
            save: Some(lsp::TextDocumentSyncSaveOptions::Supported(true)),
            ..Default::default()
        };
        let folders = lsp::WorkspaceFoldersServerCapabilities {
            supported: Some(true),
            change_notifications: Some(lsp::OneOf::Left(true)),
        };
        let capabilities = lsp::ServerCapabilities {
            position_encoding: Some(self.client.encoding.kind()),
            text_document_sync: Some(sync.into()),
            hover_provider: Some(true.into()),
            code_action_provider: Some(
                lsp::CodeActionOptions { code_action_kinds: Some(kinds), ..Default::default() }.into(),
            ),
            workspace: Some(lsp::WorkspaceServerCapabilities {
                workspace_folders: Some(folders),
                file_operations: None,
            }),
            ..Default::default()
        };
        let info = lsp::ServerInfo {
            name: "netpol-lint".to_owned(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        };
        show(lsp::InitializeResult { capabilities, server_info: Some(info) })
    }

    /// Asks to be told of files that others write.
    fn watch(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.watches) {
            return Ok(());
        }
        let watchers =
            ["**/*.{yaml,yml,json}", "**/netpol-lint.toml"].map(|glob| json!({"globPattern": glob}));
        let registration = json!({
            "id": "watch",
            "method": n::DidChangeWatchedFiles::METHOD,
            "registerOptions": {"watchers": watchers},
        });
        let params = json!({"registrations": [registration]});
        self.send(json!({"id": "watch", "method": r::RegisterCapability::METHOD, "params": params}))
    }

    fn notification(&mut self, method: &str, params: Value) {
        if self.state != State::Running {
            return;
        }
        // There is nobody to tell of a notification that makes no sense.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| self.notified(method, params)));
    }

    fn notified(&mut self, method: &str, params: Value) -> Result<(), Failure> {
        match method {
            n::DidOpenTextDocument::METHOD => {
                let lsp::DidOpenTextDocumentParams { text_document: document } = parse(params)?;
                self.workspace.open(document.uri, document.version, document.text);
            }
            n::DidChangeTextDocument::METHOD => {
                let lsp::DidChangeTextDocumentParams { text_document, content_changes } = parse(params)?;
                let lsp::VersionedTextDocumentIdentifier { uri, version } = text_document;
                self.workspace.change(&uri, version, &content_changes, self.client.encoding);
            }
            n::DidCloseTextDocument::METHOD => {
                let lsp::DidCloseTextDocumentParams { text_document: document } = parse(params)?;
                self.workspace.close(&document.uri);
            }
            n::DidSaveTextDocument::METHOD => {
                let lsp::DidSaveTextDocumentParams { text_document: document, .. } = parse(params)?;
                if uri::path(&document.uri).is_some_and(|path| path.ends_with(crate::config::FILE_NAME)) {
                    self.workspace.scan(None);
                }
            }
            n::DidChangeWatchedFiles::METHOD => {
                let lsp::DidChangeWatchedFilesParams { changes } = parse(params)?;
                let again: Vec<_> =
                    changes.iter().map(|change| self.workspace.changed_on_disk(&change.uri)).collect();
                if again.contains(&true) {
                    self.workspace.scan(None);
                }
            }
            n::DidChangeWorkspaceFolders::METHOD => {
                let lsp::DidChangeWorkspaceFoldersParams { event } = parse(params)?;
                let paths = |folders: &[lsp::WorkspaceFolder]| -> Vec<PathBuf> {
                    folders.iter().filter_map(|folder| uri::path(&folder.uri)).collect()
                };
                self.workspace.change_roots(&paths(&event.added), &paths(&event.removed));
            }
            _ => return Ok(()),
        }
        self.dirty = true;
        Ok(())
    }

    fn hover(&mut self, params: &lsp::HoverParams) -> Result<Value, Failure> {
        self.check();
        let lsp::TextDocumentPositionParams { text_document, position } =
            &params.text_document_position_params;
        let open = self.workspace.document(&text_document.uri);
        show(open.and_then(|open| hover::at(&self.workspace, open, *position, self.client.encoding)))
    }

    fn actions(&mut self, params: &lsp::CodeActionParams) -> Result<Value, Failure> {
        self.check();
        let uri = &params.text_document.uri;
        let settings = self.workspace.settings(uri);
        let open = self.workspace.document(uri);
        show(
            open.map(|open| actions::of(&self.workspace, open, &settings, params, self.client))
                .unwrap_or_default(),
        )
    }

    /// Looks again when something has changed. What is found is published later.
    fn check(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.workspace.check();
        }
    }

    /// Tells the client what it doesn't know yet.
    fn publish(&mut self) -> io::Result<()> {
        if self.state != State::Running {
            return Ok(());
        }
        let checked = self.dirty;
        let _ = panic::catch_unwind(AssertUnwindSafe(|| self.check()));
        let complaints = std::mem::take(&mut self.workspace.complaints);
        if checked {
            // What was repaired and is broken again is told again.
            self.told.retain(|told| complaints.contains(told));
        }
        for complaint in complaints {
            if !self.told.contains(&complaint) {
                let params =
                    lsp::ShowMessageParams { typ: lsp::MessageType::ERROR, message: complaint.clone() };
                self.notify::<n::ShowMessage>(&params)?;
                self.told.push(complaint);
            }
        }
        let mut now = BTreeMap::new();
        for open in self.workspace.documents() {
            let diagnostics = diagnostics::of(&self.workspace, open, self.client.encoding);
            now.insert(open.uri.as_str().to_owned(), (open.version, diagnostics));
        }
        let closed = self.published.keys().filter(|uri| !now.contains_key(*uri));
        let mut news: Vec<_> = closed.map(|uri| (uri.clone(), None, Vec::new())).collect();
        for (uri, (version, diagnostics)) in &now {
            if self.published.get(uri).is_none_or(|known| *known != (*version, diagnostics.clone())) {
                news.push((uri.clone(), Some(*version), diagnostics.clone()));
            }
        }
        self.published = now;
        for (uri, version, diagnostics) in news {
            let Ok(uri) = uri.parse() else { continue };
            self.notify::<n::PublishDiagnostics>(&lsp::PublishDiagnosticsParams {
                uri,
                diagnostics,
                version,
            })?;
        }
        Ok(())
    }

    fn notify<N: lsp::notification::Notification>(&mut self, params: &N::Params) -> io::Result<()> {
        let params = serde_json::to_value(params).map_err(io::Error::from)?;
        self.send(json!({"method": N::METHOD, "params": params}))
    }

    fn answer(&mut self, id: &Value, answer: Result<Value, Failure>) -> io::Result<()> {
        self.send(match answer {
            Ok(result) => json!({"id": id, "result": result}),
            Err(Failure(code, message)) => json!({"id": id, "error": {"code": code, "message": message}}),
        })
    }

    fn send(&mut self, message: Value) -> io::Result<()> {
        transport::write(self.output, message)
    }
}

fn parse<T: DeserializeOwned>(params: Value) -> Result<T, Failure> {
    serde_json::from_value(params).map_err(|error| Failure(INVALID_PARAMS, error.to_string()))
}

fn show<T: serde::Serialize>(result: T) -> Result<Value, Failure> {
    serde_json::to_value(result).map_err(|error| Failure(INTERNAL_ERROR, error.to_string()))
}
