//! [`Reply`]: what a server says, as far as this client has a use for it.

use std::io;

use bytes::{Bytes, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{
    AuthenticationSaslBody, DataRowBody, ErrorFields, Header, Message, RowDescriptionBody,
};

use super::super::error::ServerReport;

/// `CopyBothResponse`, which only replication has.
const COPY_BOTH: u8 = b'W';
/// What comes from outside ends up in messages and logs, so it is cut.
const LONGEST_TEXT: usize = 1000;

/// One message of a server.
pub(in super::super) enum Reply {
    /// The password exchange has this next.
    Authentication(Authentication),
    /// The process behind this connection.
    Backend(i32),
    /// The columns of the rows that follow.
    Columns(RowDescriptionBody),
    /// One row.
    Row(DataRowBody),
    /// A command is done.
    Done,
    /// Data come from the server.
    CopyOut,
    /// The server waits for data.
    CopyIn,
    /// Data go both ways.
    CopyBoth,
    /// Some of them.
    Data(Bytes),
    /// The server has no more of them.
    CopyDone,
    /// The next command may come.
    Ready,
    /// The command failed.
    Error(ServerReport),
    /// A warning.
    Notice(ServerReport),
    /// A setting.
    Parameter(String, String),
    /// Something else.
    Other,
}

/// How the server wants to know who asks.
pub(in super::super) enum Authentication {
    Ok,
    Cleartext,
    Md5([u8; 4]),
    Sasl(AuthenticationSaslBody),
    SaslContinue(Vec<u8>),
    SaslFinal(Vec<u8>),
    Unsupported(&'static str),
}

impl Reply {
    /// The message that the protocol library does not know.
    pub(super) fn copy_both(header: Header, incoming: &mut BytesMut) -> Option<Reply> {
        let length = usize::try_from(header.len()).ok()? + 1;
        if header.tag() != COPY_BOTH || incoming.len() < length {
            return None;
        }
        let _ = incoming.split_to(length);
        Some(Reply::CopyBoth)
    }

    pub(super) fn of(message: Message) -> io::Result<Reply> {
        use Reply::Authentication as Asks;
        Ok(match message {
            Message::CopyData(body) => Reply::Data(body.into_bytes()),
            Message::DataRow(body) => Reply::Row(body),
            Message::RowDescription(body) => Reply::Columns(body),
            Message::CommandComplete(_) | Message::EmptyQueryResponse => Reply::Done,
            Message::CopyOutResponse(_) => Reply::CopyOut,
            Message::CopyInResponse(_) => Reply::CopyIn,
            Message::CopyDone => Reply::CopyDone,
            Message::ReadyForQuery(_) => Reply::Ready,
            Message::ErrorResponse(body) => Reply::Error(report(body.fields())?),
            Message::NoticeResponse(body) => Reply::Notice(report(body.fields())?),
            Message::ParameterStatus(body) => Reply::Parameter(body.name()?.to_owned(), body.value()?.to_owned()),
            Message::BackendKeyData(body) => Reply::Backend(body.process_id()),
            Message::AuthenticationOk => Asks(Authentication::Ok),
            Message::AuthenticationCleartextPassword => Asks(Authentication::Cleartext),
            Message::AuthenticationMd5Password(body) => Asks(Authentication::Md5(body.salt())),
            Message::AuthenticationSasl(body) => Asks(Authentication::Sasl(body)),
            Message::AuthenticationSaslContinue(body) => Asks(Authentication::SaslContinue(body.data().to_vec())),
            Message::AuthenticationSaslFinal(body) => Asks(Authentication::SaslFinal(body.data().to_vec())),
            Message::AuthenticationGss | Message::AuthenticationGssContinue(_) => {
                Asks(Authentication::Unsupported("GSSAPI"))
            }
            Message::AuthenticationSspi => Asks(Authentication::Unsupported("SSPI")),
            Message::AuthenticationKerberosV5 => Asks(Authentication::Unsupported("Kerberos")),
            Message::AuthenticationScmCredential => Asks(Authentication::Unsupported("SCM credentials")),
            _ => Reply::Other,
        })
    }
}

fn report(mut fields: ErrorFields<'_>) -> io::Result<ServerReport> {
    let mut report = ServerReport::default();
    while let Some(field) = fields.next()? {
        let text = || {
            let text = String::from_utf8_lossy(field.value_bytes());
            let printable = text
                .chars()
                .map(|character| if character.is_control() { ' ' } else { character });
            printable.take(LONGEST_TEXT).collect::<String>()
        };
        match field.type_() {
            b'C' => report.code = text(),
            b'M' => report.message = text(),
            b'D' => report.detail = Some(text()),
            b'H' => report.hint = Some(text()),
            _ => {}
        }
    }
    Ok(report)
}
