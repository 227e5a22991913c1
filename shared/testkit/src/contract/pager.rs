//! What every pager promises.

use async_trait::async_trait;
use holdfast_core::ports::{Page, Pager, Severity};

/// A pager, and what reached the people behind it.
#[async_trait]
pub trait PagerWorld: Send + Sync {
    /// The pager.
    fn pager(&self) -> &dyn Pager;

    /// What people heard since the world began, oldest first.
    async fn heard(&self) -> Vec<Heard>;
}

/// A page as it reached somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// By this they know whether it is a matter that they know.
    pub key: String,
    /// How urgent it is.
    pub severity: Severity,
    /// Everything that they read, wherever it stands.
    pub words: String,
}

impl From<&Page> for Heard {
    fn from(page: &Page) -> Self {
        Self {
            key: page.key.clone(),
            severity: page.severity,
            words: format!("{}\n{}", page.subject, page.text),
        }
    }
}

/// Runs every promise, each in a fresh world.
pub async fn suite<W: PagerWorld>(fresh: impl AsyncFn() -> W) {
    every_word_of_a_page_arrives(&fresh().await).await;
    pages_arrive_in_their_order_and_a_repeated_one_again(&fresh().await).await;
}

fn page(key: &str, severity: Severity, subject: &str, text: &str) -> Page {
    Page {
        key: key.to_owned(),
        severity,
        subject: subject.to_owned(),
        text: text.to_owned(),
    }
}

/// Key and severity are as they were, and every word is somewhere, also those that a telephone would not take.
pub async fn every_word_of_a_page_arrives(world: &impl PagerWorld) {
    let long = "A subject that goes on and on ".repeat(10);
    let pages = [
        page("objective/photos", Severity::Info, "Plain words", "One line"),
        page(
            "job/1#2",
            Severity::Warning,
            "Sicherung für Fotos: 𝄞",
            "Zwei\nZeilen, \"Zitat\" <b>&amp;",
        ),
        page("run/ä", Severity::Critical, long.trim(), &"More text. ".repeat(1000)),
        page("empty", Severity::Info, "Nothing more to say", ""),
    ];
    for page in &pages {
        world.pager().page(page).await.expect("page");
    }
    let heard = world.heard().await;
    assert_eq!(heard.len(), pages.len());
    for page in &pages {
        let found = heard
            .iter()
            .find(|heard| heard.key == page.key)
            .expect("a page of this key");
        assert_eq!(found.severity, page.severity, "{}", page.key);
        assert!(
            found.words.contains(&page.subject),
            "the subject of {}: {}",
            page.key,
            found.words
        );
        assert!(
            found.words.contains(&page.text),
            "the text of {}: {}",
            page.key,
            found.words
        );
    }
}

/// A matter that is told again is heard again: to make one alarm of it is for those who hear.
pub async fn pages_arrive_in_their_order_and_a_repeated_one_again(world: &impl PagerWorld) {
    for key in ["a", "b", "a"] {
        let page = page(key, Severity::Warning, "A matter", "It goes on");
        world.pager().page(&page).await.expect("page");
    }
    let heard: Vec<String> = world.heard().await.into_iter().map(|heard| heard.key).collect();
    assert_eq!(heard, ["a", "b", "a"]);
}
