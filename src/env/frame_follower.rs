//! Follows the frames of HTTP/2 in the bytes of a connection, to know how much of the current one is still to come.

/// Bytes with which a client begins, before its first frame.
pub const PREFACE_BYTES: usize = 24;

/// Bytes of a frame header; the first [`LENGTH_BYTES`] say how many bytes follow it.
const HEADER_BYTES: usize = 9;
const LENGTH_BYTES: usize = 3;

/// Frames of which no more is to come are not worth the two calls that setting a mark and taking it back cost.
const WORTH_A_MARK_BYTES: usize = 32 << 10;

/// The highest mark: the largest frame that Weir sends or takes.
const MARK_BYTES_MAX: usize = 1 << 20;

/// A place in a sequence of frames. Takes any bytes; those that are no frames only lead to other marks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameFollower {
    preface_left: usize,
    /// Bytes of the header that were seen, and the length as far as they tell it.
    header_seen: usize,
    length: usize,
    payload_left: usize,
}

impl FrameFollower {
    /// For the bytes of a client, which begin with the preface.
    pub fn of_client() -> Self {
        Self { preface_left: PREFACE_BYTES, ..Self::of_server() }
    }

    /// For the bytes of a server, which are frames from the first on.
    pub fn of_server() -> Self {
        Self { preface_left: 0, header_seen: 0, length: 0, payload_left: 0 }
    }

    /// Goes on by `bytes`. Cost: a step for each frame that begins in them.
    pub fn take(&mut self, mut bytes: &[u8]) {
        bytes = skip(&mut self.preface_left, bytes);
        loop {
            bytes = skip(&mut self.payload_left, bytes);
            if bytes.is_empty() {
                return;
            }
            bytes = self.take_header(bytes);
        }
    }

    fn take_header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (header, rest) = bytes.split_at(bytes.len().min(HEADER_BYTES - self.header_seen));
        for byte in header.iter().take(LENGTH_BYTES.saturating_sub(self.header_seen)) {
            self.length = self.length << 8 | usize::from(*byte);
        }
        self.header_seen += header.len();
        if self.header_seen == HEADER_BYTES {
            (self.header_seen, self.payload_left) = (0, std::mem::take(&mut self.length));
        }
        rest
    }

    /// How many bytes are worth waiting for before the next read: much of the current frame where much of it is to come,
    /// else 1.
    ///
    /// Holds: nothing of use to a reader of whole frames comes before that many bytes.
    pub fn mark(&self) -> usize {
        match self.payload_left > WORTH_A_MARK_BYTES {
            true => self.payload_left.min(MARK_BYTES_MAX),
            false => 1,
        }
    }
}

/// The bytes after the first `left`, which are counted down.
fn skip<'a>(left: &mut usize, bytes: &'a [u8]) -> &'a [u8] {
    let skipped = bytes.len().min(*left);
    *left -= skipped;
    &bytes[skipped..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut bytes = (length as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([0; HEADER_BYTES - LENGTH_BYTES]);
        bytes.resize(HEADER_BYTES + length, 0xff);
        bytes
    }

    #[test]
    fn the_mark_is_the_rest_of_a_large_frame_and_1_between_frames() {
        let mut follower = FrameFollower::of_client();
        follower.take(&[0xff; PREFACE_BYTES]);
        assert_eq!(follower.mark(), 1);
        let bytes = frame(100_000);
        follower.take(&bytes[..8]);
        assert_eq!(follower.mark(), 1, "the header is not whole");
        follower.take(&bytes[8..9]);
        assert_eq!(follower.mark(), 100_000);
        follower.take(&bytes[9..10_009]);
        assert_eq!(follower.mark(), 90_000);
        follower.take(&bytes[10_009..70_009]);
        assert_eq!(follower.mark(), 1, "the rest is small");
        follower.take(&bytes[70_009..]);
        assert_eq!(follower, FrameFollower::of_server(), "at a boundary again");
        follower.take(&frame(0));
        assert_eq!(follower, FrameFollower::of_server());
    }

    #[test]
    fn a_length_that_nobody_may_send_has_the_highest_mark() {
        let mut follower = FrameFollower::of_server();
        follower.take(&[0xff; HEADER_BYTES]);
        assert_eq!(follower.mark(), MARK_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn any_split_into_reads_gives_the_same_marks(
            lengths in prop::collection::vec(prop_oneof![0..40usize, 0..200_000usize], 1..6),
            splits in prop::collection::vec(1..60_000usize, 1..50),
        ) {
            let mut bytes = vec![0; PREFACE_BYTES];
            lengths.iter().for_each(|length| bytes.extend(frame(*length)));
            let (mut split, mut at) = (FrameFollower::of_client(), 0);
            for step in splits {
                let end = bytes.len().min(at + step);
                split.take(&bytes[at..end]);
                at = end;
                let mut whole = FrameFollower::of_client();
                whole.take(&bytes[..at]);
                prop_assert_eq!(&split, &whole);
                prop_assert!(split.mark() == 1 || split.mark() <= left_of_frame(&lengths, at));
            }
        }

        #[test]
        fn arbitrary_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
            let mut follower = FrameFollower::of_client();
            follower.take(&bytes);
            prop_assert!((1..=MARK_BYTES_MAX).contains(&follower.mark()));
        }
    }

    /// What the frame that lies at `at` still has, told from the lengths alone.
    fn left_of_frame(lengths: &[usize], at: usize) -> usize {
        let mut end = PREFACE_BYTES;
        for length in lengths {
            end += HEADER_BYTES + length;
            if at < end {
                return end - at;
            }
        }
        0
    }
}
