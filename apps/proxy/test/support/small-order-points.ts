/**
 * The 14 spellings of the points of Ed25519 whose order divides 8, in hexadecimal: table 1 of "Taming the many EdDSAs"
 * (https://eprint.iacr.org/2020/1244). With one of them as the public key, signatures can be made without a private key.
 */
export const smallOrderPoints: readonly string[] = [
  `01${"00".repeat(31)}`,
  `01${"00".repeat(30)}80`,
  `ee${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(31)}`,
  `ec${"ff".repeat(30)}7f`,
  `ec${"ff".repeat(31)}`,
  "00".repeat(32),
  `${"00".repeat(31)}80`,
  `ed${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(31)}`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];
