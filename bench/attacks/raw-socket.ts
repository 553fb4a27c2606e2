/** The device's end of a WebSocket over a plain TCP connection, so that a benchmark can send what no library would. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** An open connection. */
export interface RawSocket {
  readonly tcp: Socket;
  /** Resolves when the connection has ended, for any reason. */
  readonly ended: Promise<void>;
  readonly isEnded: () => boolean;
  /** Writes bytes, and resolves when more may be written. */
  write(bytes: Uint8Array): Promise<void>;
}

/** Opens the socket of a device; `null` when the upgrade is refused. */
export async function openRawSocket(wsUrl: string, key: string): Promise<RawSocket | null> {
  const { hostname, port, pathname, search } = new URL(wsUrl);
  const tcp = connect(Number(port), hostname);
  tcp.setNoDelay(true);
  let hasEnded = false;
  const ended = new Promise<void>((resolve) => {
    tcp.once("close", () => {
      hasEnded = true;
      resolve();
    });
  });
  tcp.on("error", () => undefined);
  tcp.write(
    `GET ${pathname}${search} HTTP/1.1\r\nhost: ${hostname}:${port}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n` +
      `sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\nauthorization: Bearer ${key}\r\n\r\n`,
  );
  const head = await Promise.race([once(tcp, "data").then(([data]) => String(data)), ended.then(() => "")]);
  if (!head.startsWith("HTTP/1.1 101")) {
    tcp.destroy();
    return null;
  }
  tcp.resume();
  return {
    tcp,
    ended,
    isEnded: () => hasEnded,
    async write(bytes) {
      if (hasEnded || tcp.write(bytes)) return;
      await Promise.race([once(tcp, "drain").catch(() => undefined), ended]);
    },
  };
}

/** Builds a frame (RFC 6455 section 5.2) whose masking key is zero, so that its payload is not changed. */
export function buildFrame(opcode: number, payload: Uint8Array, length: number = payload.byteLength): Buffer {
  const head = Buffer.alloc(length < 126 ? 6 : length < 65_536 ? 8 : 14);
  head[0] = 0x80 | opcode;
  if (length < 126) head[1] = 0x80 | length;
  else if (length < 65_536) {
    head[1] = 0x80 | 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 0x80 | 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([head, payload]);
}

/** Builds a text frame. */
export function textFrame(value: unknown): Buffer {
  return buildFrame(1, Buffer.from(typeof value === "string" ? value : JSON.stringify(value)));
}
