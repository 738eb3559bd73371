//! Codecs: round trips, bombs, cut and flipped bytes.
#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::tests::codec;
use super::*;

const MAX: usize = 1 << 20;

/// What Kafka's own clients could have sent: text that compresses well.
fn sample() -> Vec<u8> {
    (0..3_000u32).flat_map(|number| format!("record {}; ", number % 97).into_bytes()).collect()
}

fn unpack(codec: Codec, packed: &[u8]) -> Result<Bytes, DecompressError> {
    codec.decompress(&Bytes::copy_from_slice(packed), MAX)
}

const PACKING: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

#[test]
fn ids_and_names_are_kafkas() {
    let names = ["none", "gzip", "snappy", "lz4", "zstd"];
    for (id, name) in (0..).zip(names) {
        let codec = Codec::from_name(name).unwrap();
        assert_eq!((codec.id(), codec.name(), Codec::from_id(id)), (id, name, Some(codec)));
    }
    assert_eq!((Codec::from_id(5), Codec::from_id(7), Codec::from_name("GZIP")), (None, None, None));
}

proptest! {
    #[test]
    fn bytes_round_trip(plain in vec(any::<u8>(), 1..3_000), repeat in 1usize..60, codec in codec()) {
        let plain = plain.repeat(repeat);
        prop_assert_eq!(unpack(codec, &codec.compress(&plain)).unwrap(), plain);
    }

    #[test]
    fn any_bytes_end_in_an_answer(bytes in vec(any::<u8>(), 0..300), codec in codec()) {
        let _ = unpack(codec, &bytes);
    }

    #[test]
    fn a_changed_byte_ends_in_an_answer(at: prop::sample::Index, byte: u8, codec in codec()) {
        let mut packed = codec.compress(&sample()).into_owned();
        let at = at.index(packed.len());
        packed[at] = byte;
        if let (Ok(plain), true) = (unpack(codec, &packed), codec != Codec::None) {
            prop_assert!(plain.len() <= MAX);
        }
    }
}

#[test]
fn a_cut_stream_is_corrupt() {
    let plain = sample();
    for codec in PACKING {
        let packed = codec.compress(&plain);
        for end in 0..packed.len() {
            // Xerial's framing has no end: a cut between two blocks shows only in the records.
            match unpack(codec, &packed[..end]) {
                Err(error) => assert_eq!(error, DecompressError::Corrupt { codec }, "cut at {end}"),
                Ok(less) => {
                    assert!(codec == Codec::Snappy && less.len() % (32 << 10) == 0, "{codec} cut at {end}")
                }
            }
        }
    }
}

#[test]
fn bytes_behind_a_stream_are_refused() {
    let plain = sample();
    for codec in PACKING {
        for behind in [&[0u8][..], &[7], &[0; 4], &[0x1f, 0x8b, 8], b"garbage that is longer than any header"]
        {
            let packed = [&codec.compress(&plain), behind].concat();
            assert_eq!(unpack(codec, &packed), Err(DecompressError::Corrupt { codec }), "{behind:?}");
        }
    }
}

#[test]
fn a_bomb_is_refused_at_the_bound() {
    let zeros = vec![0; 64 << 20];
    for codec in PACKING {
        let packed = codec.compress(&zeros);
        assert_eq!(unpack(codec, &packed), Err(DecompressError::TooLarge { codec, max_bytes: MAX }));
    }
    for codec in PACKING {
        let packed = Bytes::from(codec.compress(&zeros[..MAX]).into_owned());
        assert_eq!(codec.decompress(&packed, MAX).map(|plain| plain.len()), Ok(MAX), "{codec}");
        let refused = codec.decompress(&packed, MAX - 1);
        assert_eq!(refused, Err(DecompressError::TooLarge { codec, max_bytes: MAX - 1 }));
    }
}

#[test]
fn a_zstd_bomb_without_a_size_is_refused_at_the_bound() {
    // Streamed, as librdkafka and the Java client do: the frame does not say its size.
    let packed = zstd::stream::encode_all(&vec![0; 64 << 20][..], 3).unwrap();
    assert_eq!(zstd_safe::get_frame_content_size(&packed).unwrap(), None);
    let codec = Codec::Zstd;
    assert_eq!(unpack(codec, &packed), Err(DecompressError::TooLarge { codec, max_bytes: MAX }));
    let packed = zstd::stream::encode_all(&vec![0; MAX][..], 3).unwrap();
    assert_eq!(unpack(codec, &packed).map(|plain| plain.len()), Ok(MAX));
}

#[test]
fn several_gzip_members_and_zstd_frames_are_one_stream() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let packed = [codec.compress(b"one "), codec.compress(b"two")].concat();
        assert_eq!(unpack(codec, &packed).unwrap(), &b"one two"[..]);
    }
    let codec = Codec::Lz4;
    let packed = [codec.compress(b"one "), codec.compress(b"two")].concat();
    assert_eq!(unpack(codec, &packed), Err(DecompressError::Corrupt { codec }));
}

#[test]
fn a_huge_zstd_window_is_refused() {
    // Windows of 128 MiB and, one step up, 144 MiB; then an empty last raw block.
    let frame = |window: u8| [&ZSTD_MAGIC[..], &[0, window, 1, 0, 0]].concat();
    assert_eq!(unpack(Codec::Zstd, &frame(17 << 3)), Ok(Bytes::new()));
    for window in [17 << 3 | 1, 21 << 3, 0xff] {
        assert_eq!(unpack(Codec::Zstd, &frame(window)), Err(DecompressError::Corrupt { codec: Codec::Zstd }));
        let second = [Codec::Zstd.compress(b"first"), frame(window).into()].concat();
        assert_eq!(unpack(Codec::Zstd, &second), Err(DecompressError::Corrupt { codec: Codec::Zstd }));
    }
}

#[test]
fn both_forms_of_snappy_are_read() {
    let plain = sample();
    let packed = Codec::Snappy.compress(&plain);
    assert_eq!(packed[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    assert_eq!(unpack(Codec::Snappy, &packed).unwrap(), plain);
    let bare = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    assert_eq!(unpack(Codec::Snappy, &bare).unwrap(), plain);
    // Some clients write the version in the wrong byte order.
    let mut swapped = packed.to_vec();
    swapped[8..16].copy_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(unpack(Codec::Snappy, &swapped).unwrap(), plain);
}

#[test]
fn a_snappy_length_that_lies_is_refused() {
    let codec = Codec::Snappy;
    let corrupt = Err(DecompressError::Corrupt { codec });
    let honest = snap::raw::Encoder::new().compress_vec(b"twelve bytes").unwrap();
    assert_eq!(honest[0], 12);
    for claimed in [&[11u8][..], &[13], &[0xff, 0xff, 0x3f], &[0xff, 0xff, 0xff, 0xff, 0xf], &[0xff; 10]] {
        let lying = [claimed, &honest[1..]].concat();
        assert_eq!(unpack(codec, &lying), corrupt, "{claimed:?}");
        let length = (lying.len() as u32).to_be_bytes();
        let framed = [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..], &length, &lying].concat();
        assert_eq!(unpack(codec, &framed), corrupt, "{claimed:?}");
    }
    assert_eq!(unpack(codec, b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\0"), corrupt, "empty block");
    for length in [0, 1, 13, 15, u32::MAX] {
        let framed = [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..], &u32::to_be_bytes(length), &honest].concat();
        assert_eq!(unpack(codec, &framed), corrupt, "{length}");
    }
}

/// A frame with these flags whose checksum is right.
fn lz4_frame(flags: u8, sizes: u8, more: &[u8], behind: &[u8]) -> Vec<u8> {
    let hashed = [&[flags, sizes], more].concat();
    let hash = (twox_hash::XxHash32::oneshot(0, &hashed) >> 8) as u8;
    [&[4, 0x22, 0x4d, 0x18], &hashed[..], &[hash], behind].concat()
}

#[test]
fn every_legal_lz4_frame_is_read() {
    let hash = twox_hash::XxHash32::oneshot(0, b"abc").to_le_bytes();
    let block = [&[3, 0, 0, 0x80][..], b"abc"].concat();
    let end = [0u8; 4];
    let abc = Ok(Bytes::from("abc"));
    let read = |flags, sizes, more: &[u8], parts: &[&[u8]]| {
        unpack(Codec::Lz4, &lz4_frame(flags, sizes, more, &parts.concat()))
    };
    assert_eq!(read(0x60, 0x40, &[], &[&block, &end]), abc);
    assert_eq!(read(0x60, 0x70, &[], &[&block, &end]), abc);
    assert_eq!(read(0x70, 0x40, &[], &[&block, &hash, &end]), abc);
    assert_eq!(read(0x64, 0x40, &[], &[&block, &end, &hash]), abc);
    assert_eq!(read(0x68, 0x40, &3u64.to_le_bytes(), &[&block, &end]), abc);
    let packed = lz4_flex::block::compress(b"abc");
    let length = (packed.len() as u32).to_le_bytes();
    assert_eq!(read(0x60, 0x40, &[], &[&length, &packed, &end]), abc);
}

#[test]
fn every_other_lz4_frame_is_refused() {
    let block = [&[3, 0, 0, 0x80][..], b"abc"].concat();
    let end = [0u8; 4];
    let read = |flags, sizes, more: &[u8], parts: &[&[u8]]| {
        unpack(Codec::Lz4, &lz4_frame(flags, sizes, more, &parts.concat()))
    };
    let corrupt = Err(DecompressError::Corrupt { codec: Codec::Lz4 });
    let whole = [&block[..], &end];
    assert_eq!(read(0x40, 0x40, &[], &whole), corrupt, "blocks that depend on each other");
    assert_eq!(read(0xa0, 0x40, &[], &whole), corrupt, "version");
    assert_eq!(read(0x62, 0x40, &[], &whole), corrupt, "reserved flag");
    assert_eq!(read(0x61, 0x40, &[0; 4], &whole), corrupt, "dictionary");
    assert_eq!(read(0x60, 0x30, &[], &whole), corrupt, "block size");
    assert_eq!(read(0x60, 0x41, &[], &whole), corrupt, "reserved size bits");
    assert_eq!(read(0x70, 0x40, &[], &[&block, &[1; 4], &end]), corrupt, "block checksum");
    assert_eq!(read(0x64, 0x40, &[], &[&block, &end, &[1; 4]]), corrupt, "content checksum");
    assert_eq!(read(0x68, 0x40, &4u64.to_le_bytes(), &whole), corrupt, "content size");
    assert_eq!(read(0x60, 0x40, &[], &[&[0, 0, 0, 0x80], &block, &end]), corrupt, "empty block");
    let large = [&[1, 0, 1, 0x80][..], &vec![0; 65_537]].concat();
    assert_eq!(read(0x60, 0x40, &[], &[&large, &end]), corrupt, "block above the frame's bound");
    let grown = lz4_flex::block::compress(&vec![0; 65_537]);
    let length = (grown.len() as u32).to_le_bytes();
    assert_eq!(
        read(0x60, 0x40, &[], &[&length, &grown, &end]),
        corrupt,
        "block unpacks above the frame's bound"
    );
    let mut wrong_hash = lz4_frame(0x60, 0x40, &[], &whole.concat());
    wrong_hash[6] ^= 1;
    assert_eq!(unpack(Codec::Lz4, &wrong_hash), corrupt, "header checksum");
    let too_large = Err(DecompressError::TooLarge { codec: Codec::Lz4, max_bytes: 2 });
    let plain_block = Bytes::from(lz4_frame(0x60, 0x40, &[], &whole.concat()));
    assert_eq!(Codec::Lz4.decompress(&plain_block, 2), too_large, "block above the caller's bound");
    let claims = read(0x68, 0x40, &u64::MAX.to_le_bytes(), &whole);
    assert_eq!(claims, Err(DecompressError::TooLarge { codec: Codec::Lz4, max_bytes: MAX }));
}
