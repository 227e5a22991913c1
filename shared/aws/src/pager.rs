//! Telling people through an SNS topic.

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_core::ports::{Page, Pager, Severity};

use crate::failure::failure;

/// The most characters of a subject; SNS takes fewer than this many more.
const MOST_SUBJECT: usize = 99;
/// The most bytes of a message with its attributes. SNS takes 256 KiB; what else it counts has room in the rest.
const MOST_TEXT: usize = 250 * 1024;

/// Publishes pages to an SNS topic: the subject and the text as a person reads them, and `severity` and `key` as message
/// attributes, by which subscriptions filter and on-call systems know one alarm from another.
#[derive(Debug, Clone)]
pub struct SnsPager {
    client: Client,
    topic: String,
}

impl SnsPager {
    /// A pager that publishes to the topic of this ARN.
    pub fn new(client: Client, topic: impl Into<String>) -> Self {
        Self {
            client,
            topic: topic.into(),
        }
    }
}

/// The subject as SNS takes it (ASCII, one line, at most [`MOST_SUBJECT`]), and the message. What a subject had to lose
/// stands at the beginning of the message.
fn words(page: &Page) -> (String, String) {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let mut subject: String = page.subject.chars().map(plain).take(MOST_SUBJECT).collect();
    // SNS wants a letter, a digit or punctuation first.
    subject = subject.trim().to_owned();
    if subject.is_empty() {
        subject = format!("Holdfast: {}", severity(page.severity));
    }
    let mut text = if subject == page.subject && !page.text.is_empty() {
        page.text.clone()
    } else {
        format!("{}\n\n{}", page.subject, page.text)
    };
    if text.len() > MOST_TEXT {
        let end = (0..=MOST_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str("\n(cut here: the rest is in the logs)");
    }
    (subject, text)
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn attribute(value: &str) -> Result<MessageAttributeValue, Failure> {
    let built = MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value)
        .build();
    built.map_err(|error| Failure::caused(FailureKind::Bug, "an attribute without a type", error))
}

#[async_trait]
impl Pager for SnsPager {
    async fn page(&self, page: &Page) -> Result<(), Failure> {
        let (subject, text) = words(page);
        let mut request = self
            .client
            .publish()
            .topic_arn(&self.topic)
            .subject(subject)
            .message(text)
            .message_attributes("severity", attribute(severity(page.severity))?);
        // SNS takes no empty attribute.
        if !page.key.is_empty() {
            request = request.message_attributes("key", attribute(&page.key)?);
        }
        let sent = request.send().await.map(|_| ());
        sent.map_err(|error| {
            failure(
                "SNS Publish",
                format_args!("page {} to {}", page.key, self.topic),
                &error,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(subject: &str, text: &str) -> Page {
        Page {
            key: "job/1".to_owned(),
            severity: Severity::Warning,
            subject: subject.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn plain_words_are_sent_as_they_are() {
        let sent = words(&page("Backup of photos failed", "Why\nand what to do"));
        assert_eq!(
            sent,
            ("Backup of photos failed".to_owned(), "Why\nand what to do".to_owned())
        );
    }

    #[test]
    fn what_a_subject_loses_is_told_by_the_message() {
        let long = "a".repeat(150);
        for (subject, kept) in [
            ("Sicherung für Fotos", "Sicherung f?r Fotos".to_owned()),
            ("two\nlines", "two?lines".to_owned()),
            (" padded", "padded".to_owned()),
            ("", "Holdfast: warning".to_owned()),
            (&*long, "a".repeat(99)),
        ] {
            let (sent, text) = words(&page(subject, "text"));
            assert_eq!((sent, text), (kept, format!("{subject}\n\ntext")));
        }
        assert_eq!(words(&page("subject", "")).1, "subject\n\n");
    }

    #[test]
    fn an_endless_text_is_cut_and_says_so() {
        let (_, text) = words(&page("subject", &"ä".repeat(200_000)));
        assert!(text.len() < 256 * 1024 && text.ends_with("(cut here: the rest is in the logs)"));
    }
}
