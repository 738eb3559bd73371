//! Follows the messages of gRPC in a request body, to know what the decoder will keep before it gets the bytes.

use crate::base::limits::GRPC_MESSAGE_BYTES_MAX;

/// One byte that tells of compression, four of the length.
const HEADER_BYTES: usize = 5;

/// A place in a sequence of messages. Takes any bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MessageFollower {
    /// Bytes of the header that were seen, and the length as far as they tell it.
    header_seen: usize,
    length: u32,
    left: usize,
    /// Met a message above the limit: the decoder refuses it and reads no further.
    is_lost: bool,
}

/// What can be passed on at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// How many of the bytes.
    pub pass_bytes: usize,
    /// What the decoder keeps then: whole messages, or all of the one that begins in the piece; 0 for more of a message
    /// that was counted already.
    pub kept_bytes: usize,
    /// The place after the piece.
    pub then: MessageFollower,
}

impl MessageFollower {
    /// Whether a message has begun and is not whole.
    pub fn is_within(&self) -> bool {
        self.left > 0
    }

    /// The first piece of `bytes`: the rest of a message, or as many whole messages as there are, or the beginning of one.
    /// Cost: a step for each message; at least one byte is passed on if there is one.
    pub fn first_piece(self, bytes: &[u8]) -> Piece {
        if self.is_lost {
            return Piece { pass_bytes: bytes.len(), kept_bytes: 0, then: self };
        }
        if self.left > 0 {
            let pass_bytes = bytes.len().min(self.left);
            let then = Self { left: self.left - pass_bytes, ..self };
            return Piece { pass_bytes, kept_bytes: 0, then };
        }
        let mut whole = Piece { pass_bytes: 0, kept_bytes: 0, then: self };
        while whole.pass_bytes < bytes.len() {
            let rest = &bytes[whole.pass_bytes..];
            let mut then = whole.then;
            let header_bytes = then.take_header(rest);
            if then.left > rest.len() - header_bytes {
                return match whole.kept_bytes {
                    0 => {
                        let kept_bytes = then.left;
                        then.left -= rest.len() - header_bytes;
                        Piece { pass_bytes: bytes.len(), kept_bytes, then }
                    }
                    _ => whole,
                };
            }
            whole.pass_bytes += match then.is_lost {
                true => rest.len(),
                false => header_bytes + then.left,
            };
            whole.kept_bytes += if then.header_seen == 0 { HEADER_BYTES + then.left } else { 0 };
            then.left = 0;
            whole.then = then;
        }
        whole
    }

    /// Takes what there is of a header; when it is whole, `left` is the length of its message.
    fn take_header(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(HEADER_BYTES - self.header_seen);
        for byte in &bytes[..taken] {
            // The first byte is pushed out by the four of the length.
            self.length = self.length << 8 | u32::from(*byte);
        }
        self.header_seen += taken;
        if self.header_seen == HEADER_BYTES {
            let length = std::mem::take(&mut self.length) as usize;
            self.header_seen = 0;
            self.is_lost = length > GRPC_MESSAGE_BYTES_MAX;
            self.left = if self.is_lost { 0 } else { length };
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend((length as u32).to_be_bytes());
        bytes.resize(HEADER_BYTES + length, 7);
        bytes
    }

    #[test]
    fn whole_messages_go_together_and_one_that_is_not_whole_goes_alone() {
        let bytes = [message(10), message(0), message(1_000)].concat();
        let start = MessageFollower::default();
        let piece = start.first_piece(&bytes[..100]);
        assert_eq!((piece.pass_bytes, piece.kept_bytes, piece.then), (20, 20, start));
        let piece = start.first_piece(&bytes[20..100]);
        assert_eq!((piece.pass_bytes, piece.kept_bytes), (80, 1_000));
        assert!(piece.then.is_within());
        let piece = piece.then.first_piece(&[&bytes[100..], &message(1)[..]].concat());
        assert_eq!((piece.pass_bytes, piece.kept_bytes, piece.then), (925, 0, start));
    }

    #[test]
    fn a_header_in_two_parts_is_read() {
        let bytes = message(1 << 20);
        let piece = MessageFollower::default().first_piece(&bytes[..3]);
        assert_eq!((piece.pass_bytes, piece.kept_bytes, piece.then.is_within()), (3, 0, false));
        let piece = piece.then.first_piece(&bytes[3..10]);
        assert_eq!((piece.pass_bytes, piece.kept_bytes), (7, 1 << 20));
    }

    #[test]
    fn a_message_above_the_limit_is_left_to_the_decoder() {
        let bytes = [&[0], &u32::MAX.to_be_bytes()[..], &[1; 50]].concat();
        let piece = MessageFollower::default().first_piece(&bytes);
        assert_eq!(piece.pass_bytes, bytes.len());
        assert!(piece.kept_bytes <= HEADER_BYTES && !piece.then.is_within());
        assert_eq!(piece.then.first_piece(&bytes).pass_bytes, bytes.len());
    }

    proptest! {
        #[test]
        fn any_split_ends_at_the_same_place_and_counts_every_message_once(
            lengths in prop::collection::vec(0..3_000usize, 0..20),
            splits in prop::collection::vec(1..2_000usize, 1..40),
        ) {
            let bytes: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
            let (mut at, mut follower, mut kept) = (0, MessageFollower::default(), 0);
            for end in splits.iter().scan(0, |end, step| { *end += step; Some(*end) }).chain([bytes.len()]) {
                let end = end.min(bytes.len());
                while at < end {
                    let piece = follower.first_piece(&bytes[at..end]);
                    prop_assert!(piece.pass_bytes > 0);
                    at += piece.pass_bytes;
                    kept += piece.kept_bytes;
                    follower = piece.then;
                }
            }
            prop_assert_eq!(follower, MessageFollower::default());
            prop_assert!(kept >= lengths.iter().sum::<usize>() && kept <= bytes.len());
        }

        #[test]
        fn arbitrary_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 1..3_000)) {
            let piece = MessageFollower::default().first_piece(&bytes);
            prop_assert!(piece.pass_bytes > 0 && piece.pass_bytes <= bytes.len());
        }
    }
}
