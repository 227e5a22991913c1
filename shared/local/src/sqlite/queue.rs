//! Queues in SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_core::domain::{Failure, FunctionName, Span};
use holdfast_core::ports::{Clock, DeadLetter, Delivery, MAX_RECEIVES, Queue};
use rusqlite::{Transaction, params};

use super::{Database, Moment};

/// At-least-once messages in the database file. Messages become visible in the order of their times, then of their sending.
#[derive(Clone)]
pub struct SqliteQueue {
    database: Database,
    clock: Arc<dyn Clock>,
}

/// Which delivery of which message a receipt stands for. The count changes with every delivery, which voids it.
struct Receipt {
    number: i64,
    receive_count: u32,
}

impl Receipt {
    fn text(&self) -> String {
        format!("{}-{}", self.number, self.receive_count)
    }

    /// A text that is no receipt stands for nothing.
    fn parse(text: &str) -> Option<Self> {
        let (number, receive_count) = text.split_once('-')?;
        Some(Self {
            number: number.parse().ok()?,
            receive_count: receive_count.parse().ok()?,
        })
    }
}

impl SqliteQueue {
    /// The queues of a database.
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    fn now(&self) -> Moment {
        self.clock.now().into()
    }

    /// The time that lies `delay` from now.
    fn in_a_while(&self, delay: Span) -> Moment {
        delay.after(self.clock.now()).into()
    }
}

/// Puts what was delivered too often with the dead letters.
fn bury(transaction: &Transaction<'_>, queue: FunctionName, now: Moment) -> rusqlite::Result<()> {
    const SPENT: &str = "queue = ?1 AND (visible_second, visible_nanosecond) <= (?2, ?3) AND receive_count >= ?4";
    let spent = params![queue.as_str(), now.second, now.nanosecond, MAX_RECEIVES];
    transaction
        .prepare_cached(&format!(
            "INSERT INTO dead_letters (queue, body, receive_count, died_second, died_nanosecond)
             SELECT queue, body, receive_count, ?2, ?3 FROM messages WHERE {SPENT} ORDER BY number"
        ))?
        .execute(spent)?;
    transaction
        .prepare_cached(&format!("DELETE FROM messages WHERE {SPENT}"))?
        .execute(spent)?;
    Ok(())
}

/// Takes what is visible and hides it until `hidden_until`.
fn take(
    transaction: &Transaction<'_>,
    queue: FunctionName,
    most: usize,
    (now, hidden_until): (Moment, Moment),
) -> rusqlite::Result<Vec<Delivery>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut ready = transaction.prepare_cached(
        "SELECT number, body, receive_count FROM messages
         WHERE queue = ?1 AND (visible_second, visible_nanosecond) <= (?2, ?3)
         ORDER BY visible_second, visible_nanosecond, number LIMIT ?4",
    )?;
    let rows = ready.query_map(params![queue.as_str(), now.second, now.nanosecond, most], |row| {
        let receive_count = row.get::<_, u32>(2)? + 1;
        let receipt = Receipt {
            number: row.get(0)?,
            receive_count,
        };
        Ok((receipt, row.get::<_, String>(1)?))
    })?;
    let taken = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut hide = transaction.prepare_cached(
        "UPDATE messages SET receive_count = ?2, visible_second = ?3, visible_nanosecond = ?4 WHERE number = ?1",
    )?;
    let mut deliveries = Vec::with_capacity(taken.len());
    for (receipt, body) in taken {
        hide.execute(params![
            receipt.number,
            receipt.receive_count,
            hidden_until.second,
            hidden_until.nanosecond
        ])?;
        deliveries.push(Delivery {
            receipt: receipt.text(),
            body,
            receive_count: receipt.receive_count,
        });
    }
    Ok(deliveries)
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn send(&self, queue: FunctionName, body: &str, delay: Span) -> Result<(), Failure> {
        let visible = self.in_a_while(delay);
        self.database.write("send a message", |transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO messages (queue, body, visible_second, visible_nanosecond, receive_count)
                     VALUES (?1, ?2, ?3, ?4, 0)",
                )?
                .execute(params![queue.as_str(), body, visible.second, visible.nanosecond])?;
            Ok(())
        })
    }

    async fn receive(&self, queue: FunctionName, most: usize, visibility: Span) -> Result<Vec<Delivery>, Failure> {
        let now = self.now();
        let hidden_until = self.in_a_while(visibility);
        self.database.write("receive messages", |transaction| {
            bury(transaction, queue, now)?;
            take(transaction, queue, most, (now, hidden_until))
        })
    }

    async fn acknowledge(&self, receipt: &str) -> Result<(), Failure> {
        let Some(receipt) = Receipt::parse(receipt) else {
            return Ok(());
        };
        self.database.write("acknowledge a message", |transaction| {
            transaction
                .prepare_cached("DELETE FROM messages WHERE number = ?1 AND receive_count = ?2")?
                .execute(params![receipt.number, receipt.receive_count])?;
            Ok(())
        })
    }

    async fn release(&self, receipt: &str, delay: Span) -> Result<(), Failure> {
        let Some(receipt) = Receipt::parse(receipt) else {
            return Ok(());
        };
        let visible = self.in_a_while(delay);
        self.database.write("release a message", |transaction| {
            transaction
                .prepare_cached(
                    "UPDATE messages SET visible_second = ?3, visible_nanosecond = ?4
                     WHERE number = ?1 AND receive_count = ?2",
                )?
                .execute(params![
                    receipt.number,
                    receipt.receive_count,
                    visible.second,
                    visible.nanosecond
                ])?;
            Ok(())
        })
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Failure> {
        let rows = self.database.read("read the dead letters", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT queue, body, receive_count, died_second, died_nanosecond FROM dead_letters ORDER BY number",
            )?;
            let rows = statement.query_map([], |row| {
                let died = Moment {
                    second: row.get(3)?,
                    nanosecond: row.get(4)?,
                };
                Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, died))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let letter = |(queue, body, receive_count, died): (String, String, u32, Moment)| {
            let unreadable = |error: &dyn std::fmt::Display| self.database.unreadable("a dead letter", error);
            let function = FunctionName::ALL
                .into_iter()
                .find(|function| function.as_str() == queue);
            Ok(DeadLetter {
                queue: function.ok_or_else(|| unreadable(&format!("no function is called \"{queue}\"")))?,
                body,
                receive_count,
                died_at: died.try_into().map_err(|error: jiff::Error| unreadable(&error))?,
            })
        };
        rows.into_iter().map(letter).collect()
    }
}
