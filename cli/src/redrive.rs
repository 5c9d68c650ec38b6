//! `trainspot redrive`: sends dead letters to their functions again. A letter is deleted only after its function
//! has answered well; every function takes the same event twice without harm, so a letter that is sent again and
//! could not be deleted is none.

mod letter;
mod pile;
mod queue;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use trainspot_edge::aws::{InvokeError, Invoker};

use self::letter::{Letter, judge};
use self::pile::Pile;
pub(crate) use self::queue::QUEUE_VARIABLE;
use self::queue::{Queue, Received};
use crate::output;
use crate::problem::{Exit, Problem, root};

/// Which queue, and how.
#[derive(Debug, Args)]
pub(crate) struct RedriveArguments {
    /// The dead-letter queue: its URL, the stack's output `DeadLetterQueueUrl`
    // The default is what a local cloud calls it; in AWS each stack draws an ending.
    #[arg(long, env = QUEUE_VARIABLE, value_name = "URL", default_value = "https://sqs.us-east-1.amazonaws.com/123456789012/trainspot-local-DeadLetterQueue")]
    pub(crate) queue: String,
    /// Show the letters and leave them where they are
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// For scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is known of a letter, and what became of it.
#[derive(Debug, Serialize)]
struct Row {
    message_id: String,
    sent_at: Option<Timestamp>,
    function: Option<String>,
    about: Option<String>,
    error: Option<String>,
    went: bool,
    /// What the function answered, or why the letter stays.
    outcome: String,
}

/// The command.
pub(crate) async fn redrive(arguments: &RedriveArguments) -> anyhow::Result<()> {
    let queue = Queue::open(&arguments.queue).await;
    let invoker = Invoker::from_environment().await;
    let (mut rows, mut pile) = (Vec::new(), Pile::default());
    let read = read_all(&queue, &invoker, arguments.dry_run, &mut rows, &mut pile).await;
    // What stays is given back also when the rest could not be read.
    for receipt in pile.staying() {
        queue.give_back(receipt).await?;
    }
    read?;
    if arguments.json {
        output::print_json(&rows)?;
    } else if rows.is_empty() {
        output::print("no dead letters")?;
    } else {
        output::print(&render(&rows))?;
    }
    let n_stay = rows.iter().filter(|row| !row.went).count();
    if arguments.dry_run || n_stay == 0 {
        return Ok(());
    }
    let sentence = format!("{n_stay} of {} dead letters stay in the queue", rows.len());
    Err(Problem::new(Exit::EndedBadly, sentence)
        .hint("mend what they say and redrive again; a tick older than a day is a matter for `trainspot start`")
        .into())
}

async fn read_all(
    queue: &Queue,
    invoker: &Invoker,
    is_dry: bool,
    rows: &mut Vec<Row>,
    pile: &mut Pile,
) -> Result<(), Problem> {
    loop {
        let received = queue.receive().await?;
        if received.is_empty() {
            return Ok(());
        }
        // Whatever breaks off below, the pile knows them all, and none of them stays hidden.
        for message in pile.take(received) {
            let letter = Letter::parse(&message.body, &message.attributes);
            let done = match &letter {
                Err(why) => Err(format!("cannot be sent again: {why}")),
                Ok(_) if is_dry => Err("would be sent again".to_owned()),
                Ok(letter) => send(invoker, letter).await,
            };
            if done.is_ok() {
                queue.delete(&message.receipt).await?;
                pile.went(&message);
            }
            let row = row(&message, letter.ok(), done);
            if !is_dry {
                // A function may take a minute over each of them.
                eprintln!("{}", progress(rows.len() + 1, &row));
            }
            rows.push(row);
        }
        if pile.is_through() {
            return Ok(());
        }
    }
}

/// One letter in one line, while others wait.
fn progress(nth: usize, row: &Row) -> String {
    let about = row.about.as_deref().unwrap_or(&row.message_id);
    let what = if row.went { "went" } else { "stays" };
    format!("{nth}: {about}: {what}: {}", row.outcome)
}

/// What the function answered, or why the letter stays.
async fn send(invoker: &Invoker, letter: &Letter) -> Result<String, String> {
    match invoker.invoke(&letter.function, &letter.payload).await {
        Ok(answer) => judge(&answer),
        Err(InvokeError::Unreachable { source, .. }) => {
            Err(format!("no answer: {}", root(source.as_ref())))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn row(message: &Received, letter: Option<Letter>, done: Result<String, String>) -> Row {
    let function = letter
        .as_ref()
        .map(|letter| letter.function_name().to_owned());
    let (about, error) = letter.map(|letter| (letter.about, letter.error)).unzip();
    Row {
        message_id: message.message_id.clone(),
        sent_at: message.sent_at,
        function,
        about,
        error,
        went: done.is_ok(),
        outcome: done.unwrap_or_else(|why| why),
    }
}

fn render(rows: &[Row]) -> String {
    let mut table = output::table(&[
        "since",
        "function",
        "about",
        "error",
        "",
        "what became of it",
    ]);
    for row in rows {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let since = row
            .sent_at
            .map(|at| at.strftime("%Y-%m-%d %H:%MZ").to_string());
        table.add_row(vec![
            since.unwrap_or_default(),
            text(&row.function),
            text(&row.about),
            text(&row.error),
            if row.went { "went" } else { "stays" }.to_owned(),
            row.outcome.clone(),
        ]);
    }
    table.to_string()
}
