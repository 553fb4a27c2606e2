import type { StoredResponse } from "@letta-environments/http-cache";

/** An answer with the stamps that the groups it belongs to had when it was put; it is good while they have them still. */
export interface StampedResponse {
  readonly response: StoredResponse;
  /** A stamp for the resource, then one for each of the answer's groups in their order. */
  readonly stamps: readonly string[];
}

type Wire = Omit<StoredResponse, "body"> & { readonly stamps: readonly string[] };

/** Bytes in front that tell the length of the text. */
const lengthBytes = 4;

/** Writes an answer as one block: the length of a JSON text, the text, and the body as it is. */
export function encodeEntry({ response: { body, ...rest }, stamps }: StampedResponse): Uint8Array<ArrayBuffer> {
  const wire: Wire = { ...rest, stamps };
  const text = new TextEncoder().encode(JSON.stringify(wire));
  const bodyOffset = lengthBytes + text.byteLength;
  const block = new Uint8Array(bodyOffset + body.byteLength);
  new DataView(block.buffer).setUint32(0, text.byteLength);
  block.set(text, lengthBytes);
  block.set(body, bodyOffset);
  return block;
}

/** Reads what {@link encodeEntry} wrote. The body is a view of the block. Throws on anything else. */
export function decodeEntry(block: Uint8Array): StampedResponse {
  const bodyOffset = lengthBytes + new DataView(block.buffer, block.byteOffset, block.byteLength).getUint32(0);
  const text = new TextDecoder().decode(block.subarray(lengthBytes, bodyOffset));
  const { stamps, ...rest } = JSON.parse(text) as Wire;
  return { response: { ...rest, body: block.subarray(bodyOffset) }, stamps };
}
