package io.github.sparkrlhf.lm;

/**
 * The reversible map between bytes and printable characters of byte-level BPE (Radford et al.,
 * 2019): printable Latin-1 characters stand for themselves, the other bytes for the characters from
 * U+0100 on, in the order of the bytes.
 */
final class ByteAlphabet {
  /** How many bytes there are. */
  static final int SIZE = 256;

  private static final char[] CHARACTERS = new char[SIZE];

  static {
    char next = SIZE;
    for (int b = 0; b < SIZE; b++) {
      boolean printable =
          (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
      CHARACTERS[b] = printable ? (char) b : next++;
    }
  }

  private ByteAlphabet() {}

  /** The bytes as characters of the alphabet, one each. */
  static String text(byte[] bytes) {
    StringBuilder text = new StringBuilder(bytes.length);
    for (byte b : bytes) {
      text.append(CHARACTERS[b & 0xFF]);
    }
    return text.toString();
  }
}
