//! The gzip frame around deflate, of the bench's own: a fault of the server's must not cancel out.

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec;

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
const TRAILER_BYTES: usize = 8;

/// A gzip file of `text`. The CLI packs at level 6; how it is packed is not what is measured.
pub fn pack(text: &str, level: u8) -> Vec<u8> {
    let mut file = HEADER.to_vec();
    file.extend(compress_to_vec(text.as_bytes(), level));
    file.extend(crc32fast::hash(text.as_bytes()).to_le_bytes());
    file.extend((text.len() as u32).to_le_bytes());
    file
}

/// The content of a gzip file without optional header fields, its checksum compared.
pub fn unpack(file: &[u8]) -> Vec<u8> {
    assert_eq!(&file[..4], &HEADER[..4], "a gzip file without optional fields");
    let (deflated, trailer) = file[HEADER.len()..].split_at(file.len() - HEADER.len() - TRAILER_BYTES);
    let content = decompress_to_vec(deflated).expect("a sound deflate stream");
    assert_eq!(crc32fast::hash(&content).to_le_bytes(), trailer[..4], "the checksum of a gzip file");
    content
}
