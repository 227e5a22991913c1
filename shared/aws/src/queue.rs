//! Queues in SQS: one a function, each with a queue for its dead letters.
//!
//! Dead letters are sent back by an operator: `aws sqs start-message-move-task --source-arn <the dead letters' queue>`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
};
use holdfast_core::domain::{Failure, FailureKind, FunctionName, Span};
use holdfast_core::ports::{DeadLetter, Delivery, MAX_RECEIVES, Queue};
use jiff::Timestamp;

use crate::failure::{code, failure};

/// The longest delay of a new message, in seconds.
const MOST_DELAY: i64 = 900;
/// The longest time for which a message can be hidden, in seconds.
const MOST_HIDDEN: i64 = 12 * 3600;
/// The most bytes of a message.
const MOST_BODY: usize = 1024 * 1024;
/// The most messages of one call.
const MOST_MESSAGES: usize = 10;
/// How long a call waits for a message, in seconds. One that does not wait asks only some of the servers and may miss what
/// is there.
const WAIT: i32 = 1;
/// How long dead letters are hidden while they are read, in seconds.
const READING: i32 = 60;

/// The queues of one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrls {
    /// Where its messages are.
    pub messages: String,
    /// Where its dead letters are.
    pub dead_letters: String,
}

/// Messages in SQS.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    urls: BTreeMap<FunctionName, QueueUrls>,
}

impl SqsQueue {
    /// The queues behind these URLs. Their redrive policy must say [`MAX_RECEIVES`].
    pub fn new(client: Client, urls: BTreeMap<FunctionName, QueueUrls>) -> Self {
        Self { client, urls }
    }

    fn urls(&self, queue: FunctionName) -> Result<&QueueUrls, Failure> {
        self.urls.get(&queue).ok_or_else(|| {
            let message = format!("no queue is known for {queue}");
            Failure::new(FailureKind::NotFound, message)
        })
    }

    /// The queue and SQS's own receipt that a receipt stands for; none when it stands for nothing.
    fn read_receipt<'a>(&self, receipt: &'a str) -> Option<(&QueueUrls, &'a str)> {
        let (queue, handle) = receipt.split_once('/')?;
        let queue = FunctionName::ALL.into_iter().find(|name| name.as_str() == queue)?;
        Some((self.urls.get(&queue)?, handle))
    }

    /// Up to `most` messages of the queue at `url`, at most [`MOST_MESSAGES`].
    async fn take(&self, url: &str, most: usize, hidden: i32) -> Result<Vec<Message>, Failure> {
        let answer = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(i32::try_from(most.min(MOST_MESSAGES)).unwrap_or(1))
            .visibility_timeout(hidden)
            .wait_time_seconds(WAIT)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send()
            .await
            .map_err(|error| failure("SQS ReceiveMessage", url, &error))?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// How many messages the queue at `url` holds, also those that somebody has in hand.
    async fn count(&self, url: &str) -> Result<usize, Failure> {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let request = self.client.get_queue_attributes().queue_url(url);
        let answer = request
            .set_attribute_names(Some(counts.to_vec()))
            .send()
            .await
            .map_err(|error| failure("SQS GetQueueAttributes", url, &error))?;
        let told = answer.attributes.unwrap_or_default();
        let numbers = counts
            .iter()
            .map(|name| told.get(name).and_then(|number| number.parse().ok()).unwrap_or(0));
        Ok(numbers.sum())
    }

    /// Every message of the queue at `url`, put back when all were seen. Reading many takes longer than those seen first
    /// stay hidden, so it ends with the first round that gives nothing new. Who reads at the same time hides messages from
    /// this: then the answer is a failure that passes.
    async fn read_all(&self, url: &str) -> Result<Vec<Message>, Failure> {
        let expected = self.count(url).await?;
        let mut seen = BTreeMap::new();
        let read = loop {
            let known = seen.len();
            match self.take(url, MOST_MESSAGES, READING).await {
                // The newest receipt of a message is the one that puts it back.
                Ok(taken) => seen.extend(taken.into_iter().map(|message| (message.message_id.clone(), message))),
                Err(failure) => break Err(failure),
            }
            if seen.len() == known {
                break Ok(());
            }
        };
        let messages: Vec<Message> = seen.into_values().collect();
        self.put_back(url, &messages).await?;
        read?;
        if messages.len() >= expected {
            return Ok(messages);
        }
        let message = format!(
            "SQS: {} of about {expected} messages of {url} could be read: somebody else reads them now; try again in a \
             minute",
            messages.len()
        );
        Err(Failure::new(FailureKind::Transient, message))
    }

    async fn put_back(&self, url: &str, messages: &[Message]) -> Result<(), Failure> {
        for batch in messages.chunks(MOST_MESSAGES) {
            let mut request = self.client.change_message_visibility_batch().queue_url(url);
            for (n, message) in batch.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(n.to_string())
                    .receipt_handle(message.receipt_handle.clone().unwrap_or_default())
                    .visibility_timeout(0)
                    .build();
                request = request.entries(entry.map_err(|error| {
                    Failure::caused(FailureKind::Bug, "a message that is put back has no receipt", error)
                })?);
            }
            // An entry that fails is put back by its visibility soon.
            request
                .send()
                .await
                .map_err(|error| failure("SQS ChangeMessageVisibilityBatch", url, &error))?;
        }
        Ok(())
    }
}

/// A span as SQS takes it.
fn seconds(span: Span, most: i64, what: &str) -> Result<i32, Failure> {
    let seconds = span.as_seconds();
    if seconds <= most {
        return Ok(i32::try_from(seconds).unwrap_or(i32::MAX));
    }
    let message = format!("SQS cannot {what} for {seconds} s: the most is {most} s");
    Err(Failure::new(FailureKind::Invalid, message))
}

fn number(message: &Message, name: &MessageSystemAttributeName) -> Option<i64> {
    message.attributes.as_ref()?.get(name)?.parse().ok()
}

fn delivery(queue: FunctionName, message: Message) -> Result<Delivery, Failure> {
    let count = number(&message, &MessageSystemAttributeName::ApproximateReceiveCount);
    match (message.receipt_handle, message.body, count) {
        (Some(handle), Some(body), Some(count)) => Ok(Delivery {
            receipt: format!("{queue}/{handle}"),
            body,
            receive_count: u32::try_from(count).unwrap_or(u32::MAX),
        }),
        _ => {
            let text = format!("SQS: a message of the queue of {queue} without receipt, text or count");
            Err(Failure::new(FailureKind::Transient, text))
        }
    }
}

/// Whether SQS says that a receipt stands for nothing any more.
fn is_void(code: Option<&str>) -> bool {
    let void = [
        "ReceiptHandleIsInvalid",
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "MessageNotInflight",
        "AWS.SimpleQueueService.MessageNotInflight",
    ];
    code.is_some_and(|code| void.contains(&code))
}

#[async_trait]
impl Queue for SqsQueue {
    /// A delay of more than 15 minutes is [`FailureKind::Invalid`]: what shall happen later belongs into the catalog, where
    /// the timers find it.
    async fn send(&self, queue: FunctionName, body: &str, delay: Span) -> Result<(), Failure> {
        let url = &self.urls(queue)?.messages;
        let delay = seconds(delay, MOST_DELAY, "delay a message")?;
        if body.len() > MOST_BODY {
            let message = format!(
                "a message of {} bytes for {queue} is too long for SQS, which takes {MOST_BODY}",
                body.len()
            );
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let request = self.client.send_message().queue_url(url).message_body(body);
        let sent = request.delay_seconds(delay).send().await;
        sent.map(|_| ())
            .map_err(|error| failure("SQS SendMessage", url, &error))
    }

    async fn receive(&self, queue: FunctionName, most: usize, visibility: Span) -> Result<Vec<Delivery>, Failure> {
        let url = &self.urls(queue)?.messages;
        let hidden = seconds(visibility, MOST_HIDDEN, "hide a message")?;
        let mut deliveries = Vec::new();
        while deliveries.len() < most {
            let taken = self.take(url, most - deliveries.len(), hidden).await?;
            if taken.is_empty() {
                break;
            }
            for message in taken {
                deliveries.push(delivery(queue, message)?);
            }
        }
        Ok(deliveries)
    }

    async fn acknowledge(&self, receipt: &str) -> Result<(), Failure> {
        let Some((urls, handle)) = self.read_receipt(receipt) else {
            return Ok(());
        };
        let request = self.client.delete_message().queue_url(&urls.messages);
        match request.receipt_handle(handle).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_void(code(&error)) => Ok(()),
            Err(error) => Err(failure("SQS DeleteMessage", &urls.messages, &error)),
        }
    }

    /// A delay of more than 12 hours is [`FailureKind::Invalid`].
    async fn release(&self, receipt: &str, delay: Span) -> Result<(), Failure> {
        let hidden = seconds(delay, MOST_HIDDEN, "hide a message")?;
        let Some((urls, handle)) = self.read_receipt(receipt) else {
            return Ok(());
        };
        let request = self.client.change_message_visibility().queue_url(&urls.messages);
        let changed = request.receipt_handle(handle).visibility_timeout(hidden).send().await;
        match changed {
            Ok(_) => Ok(()),
            Err(error) if is_void(code(&error)) => Ok(()),
            Err(error) => Err(failure("SQS ChangeMessageVisibility", &urls.messages, &error)),
        }
    }

    /// SQS does not tell when it put a message aside, so that its age is counted from when it was sent; and what it counts
    /// as receipts goes on with each look at the dead letters, so that the redrive policy says how often it was delivered.
    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Failure> {
        let mut letters = Vec::new();
        for (queue, urls) in &self.urls {
            for message in self.read_all(&urls.dead_letters).await? {
                let sent = number(&message, &MessageSystemAttributeName::SentTimestamp);
                let sent = sent.and_then(|millisecond| Timestamp::from_millisecond(millisecond).ok());
                let body = message.body;
                let (Some(died_at), Some(body)) = (sent, body) else {
                    let text = format!("SQS: a message of {} without text or time", urls.dead_letters);
                    return Err(Failure::new(FailureKind::Transient, text));
                };
                letters.push(DeadLetter {
                    queue: *queue,
                    body,
                    receive_count: MAX_RECEIVES,
                    died_at,
                });
            }
        }
        letters.sort_by_key(|letter| letter.died_at);
        Ok(letters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_time_than_sqs_knows_is_refused_and_says_so() {
        assert_eq!(seconds(Span::minutes(15), MOST_DELAY, "delay a message").unwrap(), 900);
        let refused = seconds(Span::seconds(901), MOST_DELAY, "delay a message").unwrap_err();
        assert_eq!(refused.kind, FailureKind::Invalid);
        assert!(
            refused.message.contains("901 s") && refused.message.contains("900 s"),
            "{refused}"
        );
    }
}
