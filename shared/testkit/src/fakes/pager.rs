//! A pager that keeps what it was told.

use std::sync::Mutex;

use async_trait::async_trait;
use holdfast_core::domain::Failure;
use holdfast_core::ports::{Page, Pager};

use super::locked;

/// A pager that keeps what it was told.
#[derive(Debug, Default)]
pub struct FakePager {
    pages: Mutex<Vec<Page>>,
}

impl FakePager {
    /// Every page so far, oldest first.
    pub fn pages(&self) -> Vec<Page> {
        locked(&self.pages).clone()
    }
}

#[async_trait]
impl Pager for FakePager {
    async fn page(&self, page: &Page) -> Result<(), Failure> {
        locked(&self.pages).push(page.clone());
        Ok(())
    }
}
