//! The gzip frame (RFC 1952) around raw deflate, for request bodies and for answers. Written apart from the server's
//! own frame on purpose: a mistake made there would not be noticed by the same code.

/// `plain` as one gzip member without a name, as Go's writer makes it.
pub fn pack(plain: &[u8]) -> Vec<u8> {
    pack_at(plain, 1)
}

/// As `pack`, as small as it gets.
pub fn pack_small(plain: &[u8]) -> Vec<u8> {
    pack_at(plain, 9)
}

fn pack_at(plain: &[u8], level: u8) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    packed.extend(miniz_oxide::deflate::compress_to_vec(plain, level));
    packed.extend(crc32(plain).to_le_bytes());
    packed.extend((plain.len() as u32).to_le_bytes());
    packed
}

/// The content of one gzip member, or what is wrong with it.
pub fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    if packed.len() < 18 || packed[..3] != [0x1f, 0x8b, 8] {
        return Err(format!("{} bytes that do not begin as gzip does", packed.len()));
    }
    if packed[3] != 0 {
        return Err(format!("gzip flags {:#x}: the server has no use for any", packed[3]));
    }
    let (deflated, trailer) = packed[10..].split_at(packed.len() - 18);
    let plain = miniz_oxide::inflate::decompress_to_vec(deflated).map_err(|error| error.to_string())?;
    if trailer[..4] != crc32(&plain).to_le_bytes() {
        return Err("the checksum is not that of the content".into());
    }
    if trailer[4..] != (plain.len() as u32).to_le_bytes() {
        return Err("the length is not that of the content".into());
    }
    Ok(plain)
}

/// CRC-32 as gzip uses it (polynomial 0xEDB88320, reflected).
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    let step = |crc: u32, byte: &u8| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8);
    !bytes.iter().fold(!0, step)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[test]
fn the_checksum_is_the_known_one() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(unpack(&pack(b"state")).unwrap(), b"state");
    let mut damaged = pack(b"state");
    let n = damaged.len();
    damaged[n - 5] ^= 1;
    assert!(unpack(&damaged).is_err());
}
