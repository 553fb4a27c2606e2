/** Byte streams as callers send them on one connection: well-formed reads, mutated ones, and what only looks like one. */

/** Returns numbers from 0 up to, without, its argument. */
export type Random = (below: number) => number;

/** A stream, in the pieces in which it is sent, in Latin-1. */
export type ByteStream = readonly string[];

/** Creates a reproducible {@link Random} (mulberry32). */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}

const methods = ["GET", "GET", "GET", "GET", "HEAD", "HEAD", "POST", "OPTIONS", "get", "DELETE", "GETT", "QUERY"];
const targets = [
  ..."/v1/environments /v1/environments?limit=2 /v1/environments/device-1 /v1/slow /v1/large /v1/%2e%2e/livez /v1/../livez /v1/a;b=c,d".split(
    " ",
  ),
  ..."/livez /v1 /v1/ /v1/a#b /v1/é /v1/a\\b /v1/%zz //v1/x http://a/v1/x * /v1/a?b?c /v1/[x] /v1/a|b /v1/\x7f /v1/a%00".split(
    " ",
  ),
];
const versions = [
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/2.0",
  "HTTP/1.2",
  "http/1.1",
  "HTTP/1.10",
];
const fields = [
  "Host: a", "Host: b.example:8080", "host: A.example", "Host: a/b", "Host:", "Host: [::1]", "Host: a:80:80", "Accept: */*",
  "Authorization: Bearer key", "authorization: Bearer other", "X-Request-Id: trace-1", "If-None-Match: \"a\", W/\"b\"", "Accept:  two",
  "Accept:none", "Accept: ", "Accept: a ", "Accept:\ttab", "Accept: a\tb", "Accept : a", "Accept: \xe9", "Accept: a\x00b", "Accept: a\x01b",
  "Accept: a\x7fb", "Accept: a\rb", "Accept: a\nb", "Accept: a\n b", " folded", "\tfolded", "NoColon", ": no name", "A(b: c", "a.b!#: c",
  "Connection: keep-alive", "Connection: Keep-Alive", "Connection: close", "Connection: keep-alive, close", "Connection: upgrade",
  "Connection: TE", "Keep-Alive: timeout=1", "Proxy-Connection: close", "Proxy-Connection: keep-alive", "Content-Length: 0",
  "Content-Length: 5", "Content-Length: 5\r\nContent-Length: 6", "content-length: +1", "Transfer-Encoding: chunked",
  "Transfer-Encoding: identity", "transfer_encoding: chunked", "Transfer-Encoding: xchunked", "TE: trailers", "Trailer: a", "Expect: 100-continue",
  "Expect: x", "Upgrade: h2c", "Upgrade: websocket", "HTTP2-Settings: AAA", "Cookie: a=b; c=d", "Content-Type: text/plain",
  "__proto__: a", "constructor: b", "Cache-Control: no-cache", "Origin: https://a.example", "X-Long: " + "x".repeat(3_000),
]; // prettier-ignore

function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[random(items.length)];
  if (item === undefined) throw new Error("There is nothing to pick.");
  return item;
}

function plainRead(random: Random): string {
  const target = pick(random, targets.slice(0, 6));
  const more = [
    "Accept: */*",
    "Authorization: Bearer key",
    "X-Request-Id: trace-1",
    "Connection: keep-alive",
    "Cookie: a=b; c=d",
  ];
  const lines = ["Host: a", ...more.filter(() => random(2) === 0)];
  return `${pick(random, methods.slice(0, 6))} ${target} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}

/** A plain read with one thing that may not be plain. */
function nearlyPlainRead(random: Random): string {
  const [line = "", ...lines] = plainRead(random).split("\r\n");
  const [method = "", target = "", version = ""] = line.split(" ");
  const changes = [
    () => `${pick(random, methods)} ${target} ${version}`,
    () => `${method} ${pick(random, targets)} ${version}`,
    () => `${method} ${target} ${pick(random, versions)}`,
  ];
  const change = random(8);
  if (change > 2) lines.splice(random(lines.length - 1), 0, pick(random, fields));
  return [changes[change]?.() ?? line, ...lines].join("\r\n");
}

function oddRequest(random: Random): string {
  const lines = Array.from({ length: random(6) }, () => pick(random, fields));
  if (random(4) > 0) lines.splice(random(lines.length + 1), 0, "Host: a");
  if (random(400) === 0) lines.push(...Array.from({ length: 95 + random(12) }, (_, index) => `x-${index}: y`));
  const lineEnd = random(30) === 0 ? "\n" : "\r\n";
  const line = `${pick(random, methods)} ${pick(random, targets)} ${pick(random, versions)}`;
  return [line, ...lines, "", ["", "", "", "hello", "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"][random(6)]].join(lineEnd);
}

const insertions = [
  " ",
  "\r",
  "\n",
  "\r\n",
  "\t",
  ":",
  "\0",
  "\x80",
  "\xff",
  "\x7f",
  "%",
  "/",
  "?",
  "#",
  "\\",
  "GET ",
  "HTTP/1.1",
  "\r\n\r\n",
];

function mutate(random: Random, text: string): string {
  const at = random(text.length + 1);
  switch (random(5)) {
    case 0:
      return text.slice(0, at) + text.slice(at + 1 + random(3));
    case 1:
      return text.slice(0, at) + pick(random, insertions) + text.slice(at);
    case 2:
      return text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1);
    case 3:
      return text.slice(0, at);
    default: {
      const from = random(text.length + 1);
      return text.slice(0, at) + text.slice(from, from + random(40)) + text.slice(at);
    }
  }
}

/** Generates a stream of one to six requests, sent in one to four pieces. */
export function generateStream(random: Random): ByteStream {
  const requests = Array.from({ length: 1 + (random(2) === 0 ? 0 : random(6)) }, () =>
    pick(random, [oddRequest, nearlyPlainRead, plainRead, plainRead])(random),
  );
  let text = requests.join("");
  for (let count = random(3) === 0 ? 1 + random(3) : 0; count > 0; count--) text = mutate(random, text);
  const cuts = Array.from({ length: random(2) === 0 ? 0 : random(4) }, () => random(text.length + 1));
  const ends = [...cuts.toSorted((left, right) => left - right), text.length];
  return ends.map((end, index) => text.slice(index === 0 ? 0 : ends[index - 1], end)).filter((piece) => piece !== "");
}
