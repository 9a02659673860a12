//! A child that computes what it is asked through a pipe: with numbers in the messages, and with an array that is shared
//! through the pipe and changed in place. One question is too much for it.
//!
//! ```text
//! cargo run --release --example pipe
//! ```

use std::time::{Duration, Instant};

use multiproc::{Array, Error, Pipe, Process, pipe};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Question {
    Divide(f64, f64),
    /// What is left over when whole numbers are divided.
    Remainder(i64, i64),
    /// Each number of an array, in place; the answer is their sum.
    Sqrt(Array<f64>),
}

type Answer = f64;

fn calculate(questions: Pipe<Answer, Question>) {
    for question in &questions {
        let answer = match question.unwrap() {
            Question::Divide(a, b) => a / b,
            Question::Remainder(a, b) => (a % b) as f64,
            Question::Sqrt(numbers) => {
                let mut numbers = numbers.lock().unwrap();
                numbers.iter_mut().for_each(|x| *x = x.sqrt());
                numbers.iter().sum()
            }
        };
        questions.send(answer).unwrap();
    }
}

fn main() -> Result<(), Error> {
    multiproc::init();
    let (ours, theirs) = pipe::<Question, Answer>()?;
    let calculator = Process::spawn(calculate, theirs)?;
    let numbers = Array::collect((0..1_000_000).map(f64::from))?;
    let questions = [
        Question::Divide(355.0, 113.0),
        Question::Sqrt(numbers.clone()),
        Question::Remainder(1, 0),
    ];
    for question in questions {
        let begun = Instant::now();
        ours.send(question)?;
        match ours.recv_timeout(Duration::from_secs(10))? {
            Some(answer) => println!("{answer:<20} after {:.0?}", begun.elapsed()),
            None => println!("no answer: it has ended"),
        }
    }
    println!("the array now: {:?} …", &numbers.read(..5)?[..]);
    println!("{}", calculator.join().unwrap_err());
    Ok(())
}
