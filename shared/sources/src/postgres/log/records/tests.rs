use super::*;

const SIZE: SegmentSize = SegmentSize::SMALLEST;

/// Writes a log as a server does.
struct Writer {
    bytes: Vec<u8>,
    start: u64,
    previous: u64,
}

impl Writer {
    fn new(segment: Segment) -> Writer {
        let start = segment.start(SIZE).0;
        Writer {
            bytes: Vec::new(),
            start,
            previous: 0,
        }
    }

    fn header(&mut self, remaining: usize) {
        let at = self.start + self.bytes.len() as u64;
        let is_first = at.is_multiple_of(SIZE.bytes());
        let flags = u16::from(remaining > 0) | if is_first { 2 } else { 0 };
        self.bytes.extend(0xD110u16.to_le_bytes());
        self.bytes.extend(flags.to_le_bytes());
        self.bytes.extend(1u32.to_le_bytes());
        self.bytes.extend(at.to_le_bytes());
        self.bytes.extend((remaining as u32).to_le_bytes());
        self.bytes.extend([0; 4]);
        if is_first {
            self.bytes.extend(77u64.to_le_bytes());
            self.bytes.extend((SIZE.bytes() as u32).to_le_bytes());
            self.bytes.extend((USUAL_PAGE as u32).to_le_bytes());
        }
    }

    fn record(&mut self, manager: u8, information: u8, data: &[u8]) {
        if self.bytes.len().is_multiple_of(USUAL_PAGE) {
            self.header(0);
        }
        let at = self.start + self.bytes.len() as u64;
        let mut record = ((HEADER + data.len()) as u32).to_le_bytes().to_vec();
        record.extend(5u32.to_le_bytes());
        record.extend(std::mem::replace(&mut self.previous, at).to_le_bytes());
        record.extend([information, manager, 0, 0]);
        record.extend(crc32c_append(crc32c(data), &record).to_le_bytes());
        record.extend(data);
        let mut rest = record.as_slice();
        loop {
            let room = USUAL_PAGE - self.bytes.len() % USUAL_PAGE;
            let (here, after) = rest.split_at(room.min(rest.len()));
            self.bytes.extend(here);
            rest = after;
            if rest.is_empty() {
                break;
            }
            self.header(rest.len());
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }

    fn fill_up(&mut self, segments: u64) {
        let mut length = 50;
        while (self.bytes.len() as u64) < segments * SIZE.bytes() {
            self.record(9, 0, &vec![length as u8; length]);
            length = (length * 7 + 13) % 20_000;
        }
    }
}

fn segment() -> Segment {
    Segment { timeline: 1, number: 3 }
}

fn follow(chain: &mut Chain, segment: Segment, bytes: &[u8]) -> Followed {
    chain.follow(segment, SIZE, &mut { bytes }).unwrap()
}

#[test]
fn records_are_followed_over_pages_and_segments_and_every_flipped_byte_is_found() {
    let mut writer = Writer::new(segment());
    writer.fill_up(3);
    let size = SIZE.bytes() as usize;
    let part = |number: usize| &writer.bytes[number * size..(number + 1) * size];
    let mut chain = Chain::default();
    let followed = follow(&mut chain, segment(), part(0));
    assert_eq!((followed.end, followed.version), (End::Whole, 15));
    assert_eq!((followed.origin.system, followed.origin.segment_size), (77, SIZE));
    assert_eq!(follow(&mut chain, segment().next(), part(1)).end, End::Whole);
    assert_eq!(follow(&mut Chain::default(), segment().next(), part(1)).end, End::Whole);
    for at in (0..size).step_by(4099).chain([41, 8192 + 3, 2 * 8192 + 9]) {
        let mut flipped = part(1).to_vec();
        flipped[at] ^= 0x10;
        let mut chain = Chain::default();
        follow(&mut chain, segment(), part(0));
        let result = chain.follow(segment().next(), SIZE, &mut flipped.as_slice());
        // A record that goes on in the next segment is checked there.
        let after = follow(&mut chain, segment().next().next(), part(2));
        let is_padding = part(1)[at] == 0 && after.end == End::Whole;
        let found = !matches!(&result, Ok(Followed { end: End::Whole, .. })) || after.end != End::Whole;
        assert!(found || is_padding, "{at}: {result:?}");
    }
}

#[test]
fn the_rest_of_a_segment_that_was_left_or_used_before_does_not_count() {
    let mut writer = Writer::new(segment());
    writer.record(9, 0, b"some");
    let micros = 800_000_000_000_000i64;
    writer.record(1, 0, &[&[255, 8][..], &micros.to_le_bytes()].concat());
    let end = segment().start(SIZE).0 + writer.bytes.len() as u64;
    let mut written = writer.bytes.clone();
    let mut older = Writer::new(Segment { timeline: 1, number: 1 });
    older.fill_up(1);
    written.resize(USUAL_PAGE, 0);
    written.extend(&older.bytes[USUAL_PAGE..SIZE.bytes() as usize]);
    let followed = follow(&mut Chain::default(), segment(), &written);
    assert!(
        matches!(followed.end, End::Broken { at, .. } if at == Lsn(end)),
        "{followed:?}"
    );
    let time = Timestamp::from_second(EPOCH_2000 + 800_000_000).unwrap();
    assert_eq!(followed.last_commit, Some(time));
    let whole = writer.bytes.len();
    let followed = follow(&mut Chain::default(), segment(), &writer.bytes[..whole]);
    assert!(
        matches!(followed.end, End::Broken { at, .. } if at == Lsn(end)),
        "{followed:?}"
    );
    writer.record(0, 0x40, b"");
    writer.bytes.resize(SIZE.bytes() as usize, 0);
    assert_eq!(
        follow(&mut Chain::default(), segment(), &writer.bytes).end,
        End::Switched
    );
}

#[test]
fn another_file_is_told_from_the_segment_that_it_is_named_after() {
    let mut writer = Writer::new(segment());
    writer.fill_up(1);
    let follow = |segment: Segment, size, mut bytes: &[u8]| Chain::default().follow(segment, size, &mut bytes);
    let other = follow(segment().next(), SIZE, &writer.bytes).unwrap_err();
    assert!(matches!(other, SegmentFault::Elsewhere { timeline: 1, .. }), "{other}");
    let other = follow(segment(), SegmentSize::DEFAULT, &writer.bytes).unwrap_err();
    assert!(matches!(other, SegmentFault::OtherSize { .. }), "{other}");
    for short in [&b""[..], &writer.bytes[..39], &[0; 8192]] {
        assert!(matches!(follow(segment(), SIZE, short), Err(SegmentFault::NoHeader)));
    }
    assert_eq!(origin(&mut writer.bytes.as_slice()).unwrap().system, 77);
}
