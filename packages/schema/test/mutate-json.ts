/** Returns a random integer from 0 to below `bound`; the same sequence for the same seed (mulberry32). */
export type RandomInteger = (bound: number) => number;

/** Creates a {@link RandomInteger}. */
export function createRandomInteger(seed: number): RandomInteger {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

type Container = Record<string, unknown> | unknown[];

/** JSON texts with which a part of a body is replaced. */
const replacements: readonly string[] = [
  ...["null", "true", "false", "0", "-1.5", "1e999", "9007199254740993", "[]", "{}", "[[]]", "[null]", "[{}]"],
  ...[
    '""',
    '"x"',
    '"a newer value"',
    '"user"',
    '"approval"',
    '"success"',
    '"true"',
    '"local"',
    '"100"',
    '"101"',
    '".."',
  ],
  ...['"\\ud800"', '"\\u0000"', `"${"x".repeat(256)}"`, `"${"x".repeat(257)}"`, '{"length":3}', '{"__proto__":{}}'],
  ...['{"__proto__":[],"id":"x"}', '{"constructor":1,"toString":1,"hasOwnProperty":1}', '[{"text":"t","type":"text"}]'],
  ...['{"0":"a","length":1}', '{"status":"success"}', '{"approve":true,"status":"error"}', '{"role":"user"}'],
  `${"[".repeat(200)}${"]".repeat(200)}`,
  `${'{"a":'.repeat(200)}1${"}".repeat(200)}`,
];

const unknownNames = ["__proto__", "constructor", "length", "toString", "future", "0", ""];

/** Returns a copy of a JSON value with one to three random changes: parts replaced, removed or added. */
export function mutateJson(value: unknown, random: RandomInteger): unknown {
  let copy: unknown = JSON.parse(JSON.stringify(value));
  for (let changes = 1 + random(3); changes > 0; changes--) {
    const containers = containersIn(copy);
    const container = containers[random(containers.length + 1)];
    // The index after the last container selects the whole value.
    if (container === undefined) copy = replacement(random);
    else change(container, random);
  }
  return copy;
}

function change(container: Container, random: RandomInteger): void {
  const keys = Object.keys(container);
  const key = keys[random(Math.max(keys.length, 1))];
  const action = random(4);
  if (key === undefined || action === 0) add(container, random);
  else if (action === 1 && Array.isArray(container)) container.splice(Number(key), 1);
  else if (action === 1) Reflect.deleteProperty(container, key);
  else set(container, key, replacement(random));
}

function add(container: Container, random: RandomInteger): void {
  if (Array.isArray(container)) container.push(replacement(random));
  else set(container, unknownNames[random(unknownNames.length)] ?? "", replacement(random));
}

function set(container: Container, key: string, value: unknown): void {
  // Unlike an assignment, this defines `__proto__` as a member, as JSON.parse does.
  Object.defineProperty(container, key, { value, writable: true, enumerable: true, configurable: true });
}

function replacement(random: RandomInteger): unknown {
  return JSON.parse(replacements[random(replacements.length)] ?? "null");
}

function containersIn(value: unknown): Container[] {
  if (typeof value !== "object" || value === null) return [];
  const container = value as Container;
  return [container, ...Object.values(container).flatMap(containersIn)];
}
