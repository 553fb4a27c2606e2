import type { StoredResponse } from "@letta-environments/http-cache";

/** An answer with the stamps that the groups it belongs to had when it was put; it is good while they have them still. */
export interface StampedResponse {
  readonly response: StoredResponse;
  /** A stamp for the resource, then one for each of the answer's groups in their order. */
  readonly stamps: readonly string[];
}

type Wire = Omit<StoredResponse, "body"> & { readonly bodyBytes: number; readonly stamps: readonly string[] };

/** Bytes in front that tell the length of the text. */
const lengthBytes = 4;

/** Writes the answers of a resource as one block: the length of a JSON text, the text, and the bodies as they are. */
export function encodeEntry(answers: readonly StampedResponse[]): Uint8Array<ArrayBuffer> {
  const wires = answers.map(({ response: { body, ...rest }, stamps }): Wire => {
    return { ...rest, bodyBytes: body.byteLength, stamps };
  });
  const text = new TextEncoder().encode(JSON.stringify(wires));
  const bodies = answers.map(({ response }) => response.body);
  const block = new Uint8Array(bodies.reduce((sum, body) => sum + body.byteLength, lengthBytes + text.byteLength));
  new DataView(block.buffer).setUint32(0, text.byteLength);
  block.set(text, lengthBytes);
  let offset = lengthBytes + text.byteLength;
  for (const body of bodies) {
    block.set(body, offset);
    offset += body.byteLength;
  }
  return block;
}

/** Reads what {@link encodeEntry} wrote. The bodies are views of the block. Throws on anything else. */
export function decodeEntry(block: Uint8Array): readonly StampedResponse[] {
  const textBytes = new DataView(block.buffer, block.byteOffset, block.byteLength).getUint32(0);
  let offset = lengthBytes + textBytes;
  const wires = JSON.parse(new TextDecoder().decode(block.subarray(lengthBytes, offset))) as readonly Wire[];
  return wires.map(({ bodyBytes, stamps, ...rest }) => {
    const body = block.subarray(offset, offset + bodyBytes);
    offset += bodyBytes;
    return { response: { ...rest, body }, stamps };
  });
}
