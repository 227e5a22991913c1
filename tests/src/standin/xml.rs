//! Answers of the Query protocol.

/// Text as XML.
fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

/// An element around other elements.
pub(super) fn element(name: &str, inside: &str) -> String {
    format!("<{name}>{inside}</{name}>")
}

/// An element around text.
pub(super) fn text(name: &str, value: &str) -> String {
    element(name, &escape(value))
}

/// A whole answer.
pub(super) fn answer(operation: &str, inside: &str) -> String {
    format!(
        "<{operation}Response xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><{operation}Result>{inside}</{operation}Result>\
         <ResponseMetadata><RequestId>standin</RequestId></ResponseMetadata></{operation}Response>"
    )
}

/// A refusal.
pub(super) fn refusal(code: &str, message: &str) -> String {
    let inside = format!("<Type>Sender</Type>{}{}", text("Code", code), text("Message", message));
    format!(
        "<ErrorResponse xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><Error>{inside}</Error>\
         <RequestId>standin</RequestId></ErrorResponse>"
    )
}
