//! [`NodeStream`]: the nodes of a stored tree one after the other, so that a folder of a million entries needs no
//! memory for all of them.

use std::io::{self, BufRead, BufReader, Read};

use crate::error::{RepositoryError, Result};

use super::decode::decode_node;
use super::{Node, TREE_START, check_order};

/// Nodes from the stored bytes of a tree. Ends after the first error.
pub struct NodeStream<R> {
    input: BufReader<R>,
    state: State,
    json: Vec<u8>,
    previous: Option<Vec<u8>>,
}

#[derive(PartialEq)]
enum State {
    Start,
    Nodes,
    Done,
}

impl<R: Read> NodeStream<R> {
    /// Reads a tree from its plaintext.
    pub fn new(input: R) -> NodeStream<R> {
        NodeStream {
            input: BufReader::with_capacity(64 << 10, input),
            state: State::Start,
            json: Vec::new(),
            previous: None,
        }
    }

    fn advance(&mut self) -> Result<Option<Node>> {
        if self.state == State::Start {
            let mut start = [0; TREE_START.len()];
            self.input.read_exact(&mut start).map_err(|error| damaged(&error))?;
            if start != TREE_START {
                return self.advance_foreign(&start);
            }
            self.state = State::Nodes;
        }
        if !self.next_object()? {
            return Ok(None);
        }
        let node = decode_node(&self.json)?;
        check_order(self.previous.as_deref(), &node.name)?;
        self.previous = Some(node.name.clone());
        Ok(Some(node))
    }

    /// `nodes: null` is how Go writes a tree that was never filled.
    fn advance_foreign(&mut self, start: &[u8]) -> Result<Option<Node>> {
        let mut all = start.to_vec();
        self.input.read_to_end(&mut all).map_err(|error| damaged(&error))?;
        if all.trim_ascii_end() == b"{\"nodes\":null}" {
            return Ok(None);
        }
        Err(damaged(&"it does not begin with a list of nodes"))
    }

    /// Copies the next object of the list into `json`; false at the end of the list.
    fn next_object(&mut self) -> Result<bool> {
        self.json.clear();
        let mut scan = Scan::default();
        loop {
            let bytes = match self.input.fill_buf() {
                Ok([]) => return Err(damaged(&"it ends in the middle")),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(damaged(&error)),
            };
            let (used, end) = scan.feed(bytes).map_err(|reason| damaged(&reason))?;
            self.json.extend_from_slice(&bytes[..used]);
            self.input.consume(used);
            match end {
                Some(End::Object) => {
                    if self.json.first() == Some(&b',') {
                        self.json.remove(0);
                    }
                    return Ok(true);
                }
                Some(End::List) => {
                    // To the very end, so that a reader that verifies a hash comes to do so.
                    io::copy(&mut self.input, &mut io::sink()).map_err(|error| damaged(&error))?;
                    return Ok(false);
                }
                None => {}
            }
        }
    }
}

impl<R: Read> Iterator for NodeStream<R> {
    type Item = Result<Node>;

    fn next(&mut self) -> Option<Result<Node>> {
        if self.state == State::Done {
            return None;
        }
        let next = self.advance().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Done;
        }
        next
    }
}

fn damaged(reason: &dyn ToString) -> RepositoryError {
    RepositoryError::damaged("a tree", reason.to_string())
}

enum End {
    Object,
    List,
}

/// Finds where one JSON object ends.
#[derive(Default)]
struct Scan {
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// The number of bytes that belong to the object, and what ended it.
    fn feed(&mut self, bytes: &[u8]) -> Result<(usize, Option<End>), &'static str> {
        for (at, byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match (self.depth, byte) {
                (0, b',') => {}
                (0, b']') => return Ok((at + 1, Some(End::List))),
                (0, b'{') => self.depth = 1,
                (0, _) => return Err("its list of nodes holds something else"),
                (_, b'"') => self.in_string = true,
                (_, b'{' | b'[') => self.depth += 1,
                (_, b'}' | b']') => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Ok((at + 1, Some(End::Object)));
                    }
                }
                _ => {}
            }
        }
        Ok((bytes.len(), None))
    }
}
