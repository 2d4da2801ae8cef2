//! Which bytes of a word an access touches.

/// A set of the eight bytes of a word, the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(u8);

impl Bytes {
    /// The whole word.
    pub const ALL: Bytes = Bytes(!0);

    /// `size` bytes, 1 to 8, from byte `offset` of the word on.
    ///
    /// # Panics
    /// If they do not lie in one word.
    pub const fn of(offset: u32, size: u32) -> Bytes {
        assert!(size >= 1 && offset + size <= 8, "an access lies in one word");
        Bytes((0xff >> (8 - size)) << offset)
    }

    /// Whether all of `other` are among them.
    pub const fn contain(self, other: Bytes) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some of `other` are among them.
    pub const fn overlap(self, other: Bytes) -> bool {
        self.0 & other.0 != 0
    }

    /// The bits of a word that are these bytes.
    const fn bits(self) -> u64 {
        if self.0 == Bytes::ALL.0 {
            return !0;
        }
        let (mut bits, mut byte) = (0, 0);
        while byte < 8 {
            if self.0 & 1 << byte != 0 {
                bits |= 0xff << (8 * byte);
            }
            byte += 1;
        }
        bits
    }

    /// The number that these bytes of a word hold.
    pub const fn take(self, word: u64) -> u64 {
        (word & self.bits()) >> self.shift()
    }

    /// The word with a number in these bytes. Bits of the number that do not fit are left out.
    pub const fn put(self, word: u64, number: u64) -> u64 {
        word & !self.bits() | number << self.shift() & self.bits()
    }

    const fn shift(self) -> u32 {
        8 * self.0.trailing_zeros()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_some_bytes() {
        let word = 0x8877_6655_4433_2211;
        for (offset, size, number) in
            [(0, 8, word), (0, 1, 0x11), (7, 1, 0x88), (2, 2, 0x4433), (4, 4, 0x8877_6655), (3, 1, 0x44)]
        {
            let bytes = Bytes::of(offset, size);
            assert_eq!(bytes.take(word), number, "{size} bytes at {offset}");
            assert_eq!(bytes.put(0, number), word & bytes.bits(), "{size} bytes at {offset}");
            assert_eq!(bytes.put(word, !0) & !bytes.bits(), word & !bytes.bits(), "{size} bytes at {offset}");
            assert_eq!(bytes.take(bytes.put(word, 0x1_0000_0000_0005)), 0x1_0000_0000_0005 & bytes.take(!0));
        }
    }

    #[test]
    fn sets() {
        let (low, high, middle) = (Bytes::of(0, 4), Bytes::of(4, 4), Bytes::of(2, 4));
        assert!(Bytes::ALL.contain(low) && !low.contain(Bytes::ALL) && low.contain(Bytes::of(1, 2)));
        assert!(!low.overlap(high) && low.overlap(middle) && high.overlap(middle));
    }
}
