/** Requests over connections that are kept open, one at a time on each, and how long each of them took. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import process from "node:process";
import { endOfResponse } from "../harness/end-of-response.ts";
import { pins } from "../harness/pin.ts";

/** Keeps this process, which makes the load, off the core of workerd: on the second core alone, or on any with `null`. */
export function keepToCores(cores: "1" | null): void {
  if (pins()) execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", cores ?? "0-1023", String(process.pid)]);
}

/** The request of a load, as it goes over the wire. `{n}` becomes a number that no other request has. */
export interface Load {
  readonly url: string;
  readonly request: string;
}

let count = 0;

/** Sends at least one request on each connection, and more for a while, and resolves with the duration of each, in microseconds, without those of the first tenth. */
export async function measureLoad(
  { url, request }: Load,
  connections: number,
  durationMs: number,
): Promise<Float64Array> {
  const port = Number(new URL(url).port);
  const startedAt = performance.now();
  const durations: number[] = [];
  const isOver = (): boolean => performance.now() - startedAt > durationMs;
  const isWarm = (): boolean => performance.now() - startedAt > durationMs / 10;
  await Promise.all(Array.from({ length: connections }, () => useConnection(port, request, isOver, isWarm, durations)));
  return Float64Array.from(durations);
}

async function useConnection(
  port: number,
  request: string,
  isOver: () => boolean,
  isWarm: () => boolean,
  durations: number[],
): Promise<void> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  await once(socket, "connect");
  do {
    const sentAt = performance.now();
    await exchange(socket, request.replaceAll("{n}", String(++count).padStart(8, "0")));
    if (isWarm()) durations.push((performance.now() - sentAt) * 1_000);
  } while (!isOver());
  socket.destroy();
}

function exchange(socket: Socket, request: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const end = (cause: Error | null): void => {
      socket.removeAllListeners("data").removeAllListeners("close");
      if (cause === null) resolve();
      else reject(cause);
    };
    socket.on("data", (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      try {
        if (endOfResponse(received) !== null) end(null);
      } catch (cause) {
        end(cause instanceof Error ? cause : new Error(String(cause)));
      }
    });
    socket.on("close", () => end(new Error("The server closed a connection.")));
    socket.write(request, "latin1");
  });
}

/** A request as bytes of the wire. */
export function requestText(url: string, path: string, key: string, body?: object): string {
  const content = body === undefined ? "" : JSON.stringify(body);
  const lines = [
    `${body === undefined ? "GET" : "POST"} ${path} HTTP/1.1`,
    `Host: ${new URL(url).host}`,
    `Authorization: Bearer ${key}`,
    "Accept: application/json",
    // `{n}` becomes eight digits.
    ...(body === undefined
      ? []
      : ["Content-Type: application/json", `Content-Length: ${content.replaceAll("{n}", "00000000").length}`]),
  ];
  return `${lines.join("\r\n")}\r\n\r\n${content}`;
}
