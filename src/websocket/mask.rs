//! Removes the mask of a client's frame (RFC 6455 5.3).

/// The masking key of a frame, rotated to the current position in the payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mask([u8; 4]);

impl Mask {
    pub(super) fn new(key: [u8; 4]) -> Self {
        Self(key)
    }

    /// Unmasks the next bytes of the payload. The payload may come in pieces of any length.
    pub(super) fn apply(&mut self, bytes: &mut [u8]) {
        let narrow = u64::from(u32::from_ne_bytes(self.0));
        let wide = narrow << 32 | narrow;
        // Whole words first, since the compiler turns this loop into vector instructions.
        let (words, rest) = bytes.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(self.0.iter().cycle()) {
            *byte ^= key;
        }
        // Words are a multiple of the key's length, so only the rest rotates the key.
        self.0.rotate_left(rest.len() % 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of the RFC: octet i is XORed with octet i mod 4 of the key.
    fn by_the_book(bytes: &mut [u8], key: [u8; 4]) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte ^= key[i % 4];
        }
    }

    #[test]
    fn every_length_and_every_cut_is_unmasked_as_the_rfc_defines() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for len in 0..40 {
            let plain: Vec<u8> = (0..len).collect();
            let mut expected = plain.clone();
            by_the_book(&mut expected, key);
            for cut in 0..=plain.len() {
                let mut bytes = plain.clone();
                let mut mask = Mask::new(key);
                let (front, back) = bytes.split_at_mut(cut);
                mask.apply(front);
                mask.apply(back);
                assert_eq!(bytes, expected, "{len} bytes, cut at {cut}");
            }
        }
    }
}
