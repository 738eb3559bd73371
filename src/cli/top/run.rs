//! Samples, frames, until somebody has seen enough.

use std::io::IsTerminal;

use super::args::TopArgs;
use super::groups;
use super::keys::Keys;
use super::rates::Frame;
use super::screen::Screen;
use super::view;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, in_words};
use crate::cli::output::{Form, form, print, print_document, print_error};
use crate::cli::progress::with_progress;
use crate::cli::signals::Signals;
use crate::client::Problem;

/// Runs `weir top`. Whatever ends it gives the terminal back, also a signal.
pub async fn run(context: &Context, args: &TopArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::caught();
    let is_drawn = matches!(form(), Form::Table | Form::Wide);
    let is_live = std::io::stdout().is_terminal() && is_drawn && !args.once;
    let mut keys = if is_live { Keys::open() } else { None };
    let quit = async {
        match &mut keys {
            Some(keys) => keys.quit().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        end = draw(context, args, is_live) => end,
        exit = signals.next() => Ok(exit),
        () = quit => Ok(Exit::Done),
    }
}

async fn draw(context: &Context, args: &TopArgs, is_live: bool) -> Result<Exit, Failure> {
    let admin = context.client().await?.admin();
    let address = context.global.bootstrap.clone();
    // A broker that is not there from the beginning is a mistake in the address more often than not.
    let mut before = with_progress(context, admin.stats()).await?;
    let screen = Screen::open(is_live)?;
    loop {
        context.sleep(args.delay).await;
        let now = match admin.stats().await {
            Ok(now) => now,
            Err(error) if args.once => return Err(error.into()),
            Err(error) => {
                match is_live {
                    true => screen.show(&format!("broker at {address}: {}", in_words(&error)))?,
                    false => print_error(&in_words(&error)),
                }
                continue;
            }
        };
        let mut frame = Frame::between(&before, now.clone(), args.sort);
        // A frame without them is better than none.
        let (groups, missing) = groups::look(&admin).await.unwrap_or_default();
        let problem = |error| Problem { is_critical: false, message: in_words(&error) };
        frame.groups = groups;
        frame.stats.problems.extend(missing.into_iter().map(problem));
        match form() {
            Form::Json | Form::Yaml => print_document("top", view::fields(&frame, &address))?,
            Form::Plain | Form::Name => print(view::table(&frame).print())?,
            Form::Table | Form::Wide if args.once => print(view::text(&frame, &address))?,
            Form::Table | Form::Wide => screen.show(&view::text(&frame, &address))?,
        }
        if args.once {
            return Ok(Exit::Done);
        }
        before = now;
    }
}
