/** What is stored of a key cannot be read. It names the key, and holds nothing of the record. */
export class KeyRecordDamagedError extends Error {
  override readonly name = "KeyRecordDamagedError";
  readonly keyId: string;

  constructor(keyId: string) {
    super(`the stored record of the key ${keyId} is damaged`);
    this.keyId = keyId;
  }
}
