//! Records on stdout, as they were asked for, and what is counted of them.

use std::io::IsTerminal;
use std::time::Duration;

use super::args::ConsumeArgs;
use crate::base::size::print_bytes;
use crate::base::{Error, ErrorKind, Offset};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, in_words};
use crate::cli::format::{Format, Target, unescape};
use crate::cli::json;
use crate::cli::output::{self, count, print_error, print_raw, thousands};
use crate::cli::progress::Progress;
use crate::client::ConsumerRecord;

/// Bytes printed by one write, as long as more records are at hand.
const PRINT_BYTES: usize = 64 << 10;

/// Between two looks at the progress line.
const RECORDS_BETWEEN_TICKS: u64 = 1 << 10;

/// How records are printed.
pub(super) enum Form {
    Json,
    Text(Format),
}

/// The form that was asked for.
///
/// Errors: usage.
pub(super) fn form(context: &Context, args: &ConsumeArgs) -> Result<Form, Failure> {
    if !matches!(context.global.output, None | Some(output::Form::Json | output::Form::Plain)) {
        return Err(Failure::usage("--output: records are printed as json (-J) or plain (-f FORMAT)"));
    }
    match &args.format {
        _ if context.global.json => Ok(Form::Json),
        Some(format) => {
            let format = Format::parse(format).map_err(|error| Failure::usage(format!("-f: {error}")))?;
            Ok(Form::Text(with_null(format, args)))
        }
        None => {
            let bytes = |flag: &str, text: &str| {
                unescape(text).map_err(|error| Failure::usage(format!("{flag}: {error}")))
            };
            let separator = args.key_separator.as_deref().map(|text| bytes("-K", text)).transpose()?;
            let end = bytes("-D", args.delimiter.as_deref().unwrap_or("\\n"))?;
            Ok(Form::Text(with_null(Format::plain(separator, end), args)))
        }
    }
}

fn with_null(format: Format, args: &ConsumeArgs) -> Format {
    if args.null { format.with_null("NULL") } else { format }
}

/// What is printed and counted.
pub(super) struct Printing<'a> {
    context: &'a Context,
    args: &'a ConsumeArgs,
    form: Form,
    out: Vec<u8>,
    /// Records that came, printed or not.
    read: u64,
    /// When the last one came, or the command began.
    pub(super) last_at: Duration,
    /// Records printed.
    pub(super) records: u64,
    pub(super) value_bytes: u64,
    exit: Exit,
    first_error: Option<(ErrorKind, String)>,
    target: Target,
    pub(super) progress: Progress,
}

impl<'a> Printing<'a> {
    pub(super) fn new(context: &'a Context, args: &'a ConsumeArgs, form: Form, begun: Duration) -> Self {
        Self {
            context,
            args,
            form,
            out: Vec::new(),
            read: 0,
            last_at: begun,
            records: 0,
            value_bytes: 0,
            exit: Exit::Done,
            first_error: None,
            target: Target::stdout(),
            progress: Progress::new(begun, context.global.quiet || std::io::stdout().is_terminal()),
        }
    }

    /// Takes a record, and prints it where the conditions let it through.
    pub(super) fn take(&mut self, record: &ConsumerRecord) -> Result<(), Failure> {
        self.read += 1;
        if self.args.grep.iter().all(|pattern| pattern.lets(record)) {
            self.print_record(record);
        }
        if self.out.len() >= PRINT_BYTES || self.args.unbuffered {
            self.flush()?;
        }
        if self.read.is_multiple_of(RECORDS_BETWEEN_TICKS) || self.args.idle_timeout.is_some() {
            self.last_at = self.context.monotonic();
            let (records, bytes) = (self.counted(), self.value_bytes);
            self.progress.tick(self.last_at, || format!("{records}, {}", print_bytes(bytes)));
        }
        Ok(())
    }

    fn print_record(&mut self, record: &ConsumerRecord) {
        match &self.form {
            Form::Json => json::write_line(record, &mut self.out),
            Form::Text(format) => format.write(record, self.target, &mut self.out),
        }
        self.records += 1;
        self.value_bytes += record.value.as_ref().map_or(0, |value| value.len() as u64);
    }

    /// Records printed; where a condition kept some back, out of how many.
    pub(super) fn counted(&self) -> String {
        if self.args.grep.is_empty() {
            return count(self.records, "record");
        }
        format!("{} of {}", thousands(self.records), count(self.read, "record"))
    }

    /// Prints an error and keeps its code.
    pub(super) fn report(&mut self, error: &Error) {
        self.progress.clear();
        self.exit = self.exit.and(Exit::of(error.kind));
        self.first_error.get_or_insert_with(|| (error.kind, error.message.clone()));
        let damaged: Option<(Offset, Offset)> = range_of(error);
        let next = damaged.map_or_else(String::new, |(_, end)| format!("   to go on behind it: -o {end}"));
        print_error(&format!("{}{next}", in_words(error)));
    }

    /// How it ends: with the first of the errors that were said, if there was one.
    pub(super) fn end(self) -> Result<Exit, Failure> {
        match self.first_error {
            None => Ok(self.exit),
            Some((kind, first)) => Err(Failure::said(self.exit, Some(kind), first)),
        }
    }

    /// Prints what is at hand.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        if self.out.is_empty() {
            return Ok(());
        }
        let printed = print_raw(&self.out);
        self.out.clear();
        printed
    }
}

/// First and end offset of a damaged range, when the broker tells them.
fn range_of(error: &Error) -> Option<(Offset, Offset)> {
    let number = |name| error.metadata.get(name)?.parse().ok();
    Some((number("first")?, number("end")?)).filter(|_| error.kind == ErrorKind::DamagedRange)
}
