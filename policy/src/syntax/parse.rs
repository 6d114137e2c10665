//! From a parser's events to documents, past broken ones.

use granit_parser::{Event, Parser, ScalarStyle as RawStyle, Span as RawSpan, StructureStyle, Tag as RawTag};

use super::build::{Builder, Fault, ScalarEvent};
use super::diagnose;
use super::limits::Limits;
use super::node::{ScalarStyle, Style};
use super::scalar::Tag;
use super::{Stream, SyntaxError};
use crate::span::Span;

/// Reads a text with the full parser.
pub(super) fn parse<'t>(text: &'t str, limits: &Limits) -> Stream<'t> {
    let nesting = u32::try_from(limits.depth).unwrap_or(u32::MAX).saturating_add(1);
    let options = granit_parser::options! {
        emit_anchor_events: true,
        // Licence headers and long explanations are not hostile; the text's length bounds their number.
        max_buffered_comment_events: usize::MAX,
        flow_nesting_limit: nesting as usize,
        block_nesting_limit: nesting as usize,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader::new(text, limits);
    loop {
        match parser.next_event() {
            None => break,
            Some(Ok((event, span))) => reader.event(event, &span),
            Some(Err(error)) => {
                reader.broken(diagnose::parser_error(text, &error));
                match parser.proceed_next_document() {
                    Ok(true) => {}
                    Ok(false) | Err(_) => break,
                }
            }
        }
    }
    let mut stream = reader.stream;
    if !stream.comments.is_sorted() {
        stream.comments.sort_unstable();
    }
    stream
}

/// Collects documents.
pub(super) struct Reader<'t> {
    text: &'t str,
    pub(super) builder: Builder<'t>,
    pub(super) stream: Stream<'t>,
    /// Of the next document to finish.
    index: usize,
    /// What the open document is refused for.
    fault: Option<Fault>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str, limits: &Limits) -> Self {
        Self { text, builder: Builder::new(text, limits), stream: Stream::default(), index: 0, fault: None }
    }

    fn event(&mut self, event: Event<'t>, raw: &RawSpan) {
        let span = place(raw);
        match event {
            Event::Comment(..) => self.stream.comments.push(span),
            Event::DocumentStart(..) => {
                // An explicit start covers its `---`; an implicit one is empty or lies on the first character.
                let marker = self.text[span.range()].starts_with("---");
                self.builder.start(if marker { span.end } else { span.start });
            }
            Event::DocumentEnd => self.finish(),
            // The document is lost; its end is all that matters.
            _ if self.fault.is_some() => {}
            event => self.fault = self.content(event, raw, span).err(),
        }
    }

    fn content(&mut self, event: Event<'t>, raw: &RawSpan, span: Span) -> Result<(), Fault> {
        let builder = &mut self.builder;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let has_property = anchor != 0 || raw.tag_start().is_some();
                let tag = tag.as_deref().map_or(Tag::None, meaning);
                builder.scalar(ScalarEvent {
                    text,
                    style: scalar_style(style),
                    tag,
                    anchor,
                    has_property,
                    span,
                })
            }
            Event::SequenceStart(style, anchor, _) => {
                builder.start_sequence(collection_style(style), anchor, span)
            }
            Event::MappingStart(style, anchor, _) => {
                builder.start_mapping(collection_style(style), anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => builder.end_collection(span),
            Event::Alias(anchor) => builder.alias(anchor, span),
            Event::Anchor(..) => {
                builder.anchor_name(span);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes the document that the builder has put together.
    pub(super) fn finish(&mut self) {
        if let Some(fault) = self.fault.take() {
            return self.broken(fault);
        }
        let document = self.builder.finish(self.index);
        match diagnose::misread(self.text, &document) {
            Some(fault) => self.broken(fault),
            None => {
                self.stream.documents.push(document);
                self.index += 1;
            }
        }
    }

    /// Gives the current document up.
    fn broken(&mut self, fault: Fault) {
        // Whatever was found first says most.
        let fault = self.fault.take().unwrap_or(fault);
        let fault = diagnose::explain(self.text, fault);
        self.stream.errors.push(SyntaxError {
            document: self.index,
            span: fault.span,
            kind: fault.kind,
            message: fault.message.into(),
            help: (!fault.help.is_empty()).then(|| fault.help.into()),
        });
        self.index += 1;
    }
}

fn place(raw: &RawSpan) -> Span {
    let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let range = raw.byte_range().unwrap_or_default();
    Span::new(narrow(range.start), narrow(range.end.max(range.start)))
}

fn scalar_style(style: RawStyle) -> ScalarStyle {
    match style {
        RawStyle::Plain => ScalarStyle::Plain,
        RawStyle::SingleQuoted => ScalarStyle::SingleQuoted,
        RawStyle::DoubleQuoted => ScalarStyle::DoubleQuoted,
        RawStyle::Literal => ScalarStyle::Literal,
        RawStyle::Folded => ScalarStyle::Folded,
    }
}

fn collection_style(style: StructureStyle) -> Style {
    match style {
        StructureStyle::Flow => Style::Flow,
        StructureStyle::Block => Style::Block,
    }
}

fn meaning(tag: &RawTag) -> Tag {
    match tag.core_suffix() {
        Some("int" | "float" | "bool" | "null") => Tag::Plain,
        _ => Tag::Str,
    }
}
