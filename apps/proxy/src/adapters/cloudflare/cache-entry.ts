import type { CacheEntry } from "@letta-environments/http-cache";

/** An entry with the stamps that its resource and groups had when it was stored. It is valid while these stamps have not changed. */
export interface StampedEntry {
  readonly entry: CacheEntry;
  /** The stamp of the resource, then the stamps of the entry's groups in their order. */
  readonly stamps: readonly string[];
}

type Wire = Omit<CacheEntry, "body"> & { readonly stamps: readonly string[] };

/** The number of bytes that encode the length of the text. */
const lengthBytes = 4;

/** Encodes an entry as one block: the length of a JSON text, the text, and the body. */
export function encodeEntry({ entry: { body, ...rest }, stamps }: StampedEntry): Uint8Array<ArrayBuffer> {
  const wire: Wire = { ...rest, stamps };
  const text = new TextEncoder().encode(JSON.stringify(wire));
  const bodyOffset = lengthBytes + text.byteLength;
  const block = new Uint8Array(bodyOffset + body.byteLength);
  new DataView(block.buffer).setUint32(0, text.byteLength);
  block.set(text, lengthBytes);
  block.set(body, bodyOffset);
  return block;
}

/** Decodes a block of {@link encodeEntry}, and throws on anything else. The body is a view of the block. */
export function decodeEntry(block: Uint8Array): StampedEntry {
  const bodyOffset = lengthBytes + new DataView(block.buffer, block.byteOffset, block.byteLength).getUint32(0);
  const text = new TextDecoder().decode(block.subarray(lengthBytes, bodyOffset));
  const { stamps, ...rest } = JSON.parse(text) as Wire;
  return { entry: { ...rest, body: block.subarray(bodyOffset) }, stamps };
}
