//! Passwords that Secrets Manager keeps: the one in escrow, and those of PostgreSQL servers.

use std::fmt;

use aws_sdk_secretsmanager::Client;
use holdfast_core::domain::{Failure, FailureKind};
use tokio::sync::OnceCell;

use crate::failure::failure;

/// A password: read once, when it is first needed.
pub struct Secret {
    client: Client,
    secret: String,
    password: OnceCell<String>,
}

impl Secret {
    /// The password that the secret of this ARN holds.
    pub fn new(client: Client, secret: impl Into<String>) -> Self {
        Self {
            client,
            secret: secret.into(),
            password: OnceCell::new(),
        }
    }

    /// The password. A secret without text is [`FailureKind::Invalid`]; a failure is not remembered.
    pub async fn read(&self) -> Result<&str, Failure> {
        let password = self.password.get_or_try_init(|| self.fetch()).await?;
        Ok(password)
    }

    async fn fetch(&self) -> Result<String, Failure> {
        let request = self.client.get_secret_value().secret_id(&self.secret);
        let answer = request
            .send()
            .await
            .map_err(|error| failure("Secrets Manager GetSecretValue", &self.secret, &error))?;
        let text = answer.secret_string.as_deref().map(str::trim_end).unwrap_or_default();
        if text.is_empty() {
            let message = format!(
                "secret {} holds no text: put the password into it, as plain text",
                self.secret
            );
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        Ok(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}
