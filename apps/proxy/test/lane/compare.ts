/** Sends the same streams to a server with and without a lane, and compares all that comes back. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { clearTimeout, setTimeout } from "node:timers";
import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";
import { runtimeProgram, type ServerRuntime } from "../runtimes/runtime-commands.ts";
import { recognise } from "../../src/host/node/lane/grammar.ts";
import { type ByteStream, createRandom, generateStream } from "./generate-streams.ts";

/** A stream whose responses differ. */
export interface Difference {
  readonly index: number;
  readonly stream: ByteStream;
  readonly server: string;
  readonly lane: string;
}

/** The result of a comparison. */
export interface Comparison {
  readonly differences: readonly Difference[];
  /** Requests that the lane answered itself. */
  readonly answered: number;
  /** Streams that were sent again with pauses. */
  readonly paced: number;
}

const responseStart = /HTTP\/1\.1 \d{3} [A-Z]/;

/** Streams that are compared at the same time. */
const concurrency = 32;

/** How long a server may take to close a connection whose client has ended, in milliseconds. A difference is reported then, with its stream. */
const closingMs = 60_000;

/** Compares generated streams on a runtime. Ends at the tenth difference. */
export async function compareStreams(runtime: ServerRuntime, count: number, seed: number): Promise<Comparison> {
  const file = join(import.meta.dirname, "echo-server.ts");
  const words = runtime === "deno" ? ["run", "-A", file] : [file];
  const server = spawn(runtimeProgram(runtime), words, {
    stdio: ["pipe", "pipe", "inherit"],
    cwd: import.meta.dirname,
  });
  let output = "";
  server.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  while (!output.includes("\n")) await once(server.stdout, "data");
  const [plain = 0, lane = 0] = output.split(" ").slice(1).map(Number);
  const differences: Difference[] = [];
  let next = 0;
  let paced = 0;
  const work = async (): Promise<void> => {
    while (next < count && differences.length < 10) {
      const index = next++;
      const stream = generateStream(createRandom(seed + index));
      const [expected, seen] = await Promise.all([responsesOf(plain, stream), responsesOf(lane, stream)]);
      if (expected === seen) continue;
      paced += 1;
      const slowly = await compareSlowly(runtime, [plain, lane], stream);
      if (slowly !== null) differences.push({ index, stream, server: slowly.server, lane: slowly.lane });
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  server.stdin.end();
  await once(server, "close");
  return { differences, paced, answered: Number(/answered (\d+)/.exec(output)?.[1]) };
}

/**
 * Sends a stream again, with a pause behind each piece, and to the server behind each request that the lane takes alone. A server drops or overtakes
 * responses that are not written yet when it cannot parse what follows them in the same chunk. Returns the responses if they still differ.
 */
async function compareSlowly(
  runtime: ServerRuntime,
  [plain, lane]: readonly [number, number],
  stream: ByteStream,
): Promise<{ readonly server: string; readonly lane: string } | null> {
  const { pieces, taken } = singleRequests(stream);
  let [server, seen] = ["", ""];
  for (const pauseMs of [5, 50, 500]) {
    [server, seen] = await Promise.all([
      responsesOf(plain, pieces, pauseMs, taken),
      responsesOf(lane, stream, pauseMs),
    ]);
    const [own, handedOver] = [server, seen].map((text) => splitResponses(text, taken));
    if (own?.first !== handedOver?.first) continue;
    const [left = "", right = ""] = [own?.rest, handedOver?.rest];
    // Behind the hand-over, Bun has another parser than its own server. How much is dropped of that rest depends on what is already written.
    if (runtime === "bun" || left.startsWith(right) || right.startsWith(left)) return null;
  }
  return { server, lane: seen };
}

function splitResponses(text: string, count: number): { readonly first: string; readonly rest: string } {
  // Node writes 100 Continue at once, also into the middle of another response.
  const responses = text
    .replaceAll("HTTP/1.1 100 Continue\r\n\r\n", "")
    .split(new RegExp(`(?=${responseStart.source})`));
  // In lower case: the response to what cannot be parsed, which is written without waiting for earlier ones.
  const rest = responses.slice(count).filter((response) => !response.includes("\r\nconnection: close"));
  return { first: responses.slice(0, count).join(""), rest: rest.join("") };
}

/** Cuts a stream behind every request that the lane takes from it, and counts those. */
function singleRequests(stream: ByteStream): { readonly pieces: ByteStream; readonly taken: number } {
  const pieces: string[] = [];
  let taken = 0;
  let isHandedOver = false;
  for (const piece of stream) {
    let start = 0;
    while (!isHandedOver && start < piece.length) {
      const end = recognise(piece, start, null)?.end;
      if (end === undefined) isHandedOver = true;
      else {
        pieces.push(piece.slice(start, end));
        start = end;
        taken += 1;
      }
    }
    if (start < piece.length) pieces.push(piece.slice(start));
  }
  return { pieces, taken };
}

/** Sends a stream, with a wait for the response behind each of its first requests, then the end of the connection, and returns what is received until the server closes it. */
async function responsesOf(
  port: number,
  stream: ByteStream,
  pauseMs: number = 0,
  singleRequests: number = 0,
): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let received = "";
  socket.setEncoding("latin1").on("data", (text: string) => (received += text));
  // A reset behind the responses; what was received before it counts.
  socket.on("error", () => undefined);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  for (const [index, piece] of stream.entries()) {
    if (index > 0) await (pauseMs === 0 ? nextTurn() : delay(pauseMs));
    socket.write(piece, "latin1");
    while (index < singleRequests && !socket.closed && received.split(responseStart).length < index + 2)
      await delay(pauseMs);
  }
  if (pauseMs > 0) await delay(pauseMs);
  socket.end();
  const patience = setTimeout(() => socket.destroy(new Error("the server did not close the connection")), closingMs);
  await closed;
  clearTimeout(patience);
  if (socket.errored?.message.startsWith("the server") === true) return `${received}(not closed)`;
  return received.replaceAll(/^Date: .*$/gm, "Date");
}
