/** A source of whole numbers below a bound, the same for the same seed (mulberry32). */
export type Chance = (bound: number) => number;

/** Creates a {@link Chance}. */
export function createChance(seed: number): Chance {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

type Container = Record<string, unknown> | unknown[];

/** JSON texts that take the place of a part of a body. */
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

/** A copy of a JSON value with one to three random changes: parts replaced, left out, doubled or added. */
export function mutateJson(value: unknown, chance: Chance): unknown {
  let copy: unknown = JSON.parse(JSON.stringify(value));
  for (let changes = 1 + chance(3); changes > 0; changes--) {
    const containers = containersIn(copy);
    const container = containers[chance(containers.length + 1)];
    // Past the last one stands the whole.
    if (container === undefined) copy = replacement(chance);
    else change(container, chance);
  }
  return copy;
}

function change(container: Container, chance: Chance): void {
  const keys = Object.keys(container);
  const key = keys[chance(Math.max(keys.length, 1))];
  const action = chance(4);
  if (key === undefined || action === 0) add(container, chance);
  else if (action === 1 && Array.isArray(container)) container.splice(Number(key), 1);
  else if (action === 1) Reflect.deleteProperty(container, key);
  else set(container, key, replacement(chance));
}

function add(container: Container, chance: Chance): void {
  if (Array.isArray(container)) container.push(replacement(chance));
  else set(container, unknownNames[chance(unknownNames.length)] ?? "", replacement(chance));
}

function set(container: Container, key: string, value: unknown): void {
  // An assignment to `__proto__` would change the prototype, which no JSON text does.
  Object.defineProperty(container, key, { value, writable: true, enumerable: true, configurable: true });
}

function replacement(chance: Chance): unknown {
  return JSON.parse(replacements[chance(replacements.length)] ?? "null");
}

function containersIn(value: unknown): Container[] {
  if (typeof value !== "object" || value === null) return [];
  const container = value as Container;
  return [container, ...Object.values(container).flatMap(containersIn)];
}
