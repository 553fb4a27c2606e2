import { namesByModule, objectsOf, type ObjectShape, type Shape } from "./shape.ts";
import type { WireType } from "./wire-types.ts";

/** Returns the TypeScript of the drift finders. Each reads an accepted response once and compares it with lists of known names. */
export function emitDrift(types: readonly WireType[]): string {
  const responses = types.filter(({ isResponse }) => isResponse);
  const objects = new Map(responses.flatMap(({ shape }) => objectsOf(shape)).map((object) => [object.name, object]));
  const imports = namesByModule(responses).map(([module, names]) => `import type { ${names} } from "${module}";`);
  const helpers =
    'import { createPlace, type Drift, type DriftReport, findUnknownMembers, findUnknownValue } from "./drift.ts";';
  return [
    "// Generated from the schemas by scripts/generate.ts. Do not edit.",
    ...[...imports, helpers].sort(),
    "",
    'export type { Drift } from "./drift.ts";',
    "",
    ...[...objects.values()].map(({ name, members }) => {
      const names = members.map((member) => member.name);
      return `const ${namesOf(name)}: readonly string[] = ${JSON.stringify(names)};\n`;
    }),
    ...responses.map(emitFinder),
  ].join("\n");
}

function emitFinder({ name, shape }: WireType): string {
  const places: string[] = [];
  if (shape.kind !== "object") throw new Error(`${name} must be an object`);
  const body = emitSearch(shape, "value", "", places);
  return [
    `/** Returns the unknown members of a {@link ${name}}, and the unknown values of its open enums. */`,
    `export const find${name}Drift = (value: ${name}): Drift[] => {`,
    ...indent(["const report: DriftReport = new Map();", ...places, ...body, "return [...report.values()];"]),
    "};",
    "",
  ].join("\n");
}

/** Returns statements that search the object at `access` and its members, and adds the places they use to `places`. */
function emitSearch(object: ObjectShape, access: string, path: string, places: string[]): string[] {
  const place = addPlace(path, namesOf(object.name), places);
  const members = object.members.flatMap(({ name, optional, shape }) => {
    const member = memberOf(access, name);
    const inner = emitMember(shape, member, path + name, places);
    return inner.length === 0 || !optional || shape.kind === "text"
      ? inner
      : [`if (${member} !== undefined) {`, ...indent(inner), "}"];
  });
  return [`findUnknownMembers(${place}, ${access}, ${countOf(object, access)});`, ...members];
}

/** Returns an expression for a member, whose name may have hyphens. */
function memberOf(access: string, name: string): string {
  return /^\w+$/.test(name) ? `${access}.${name}` : `${access}[${JSON.stringify(name)}]`;
}

/** Returns an expression for the number of known members of an accepted object: the required ones, and the present optional ones. */
function countOf({ members }: ObjectShape, access: string): string {
  const optional = members.filter((member) => member.optional);
  const present = optional.map(({ name }) => `(${memberOf(access, name)} === undefined ? 0 : 1)`);
  const required = members.length - optional.length;
  return [...(required > 0 ? [required] : []), ...present].join(" + ");
}

function emitMember(shape: Shape, access: string, path: string, places: string[]): string[] {
  if (shape.kind === "object") return emitSearch(shape, access, `${path}.`, places);
  if (shape.kind === "text" && shape.known.length > 0) {
    return [`findUnknownValue(${addPlace(path, JSON.stringify(shape.known), places)}, ${access});`];
  }
  if (shape.kind !== "array") return [];
  // A list within a list has a name of its own.
  const item = `item${path.split("[]").length - 1 || ""}`;
  const inner = emitMember(shape.item, item, `${path}[]`, places);
  return inner.length === 0 ? [] : [`for (const ${item} of ${access}) {`, ...indent(inner), "}"];
}

function addPlace(path: string, known: string, places: string[]): string {
  const name = `place${places.length}`;
  places.push(`const ${name} = createPlace(${JSON.stringify(path)}, ${known}, report);`);
  return name;
}

function namesOf(object: string): string {
  return `${object.charAt(0).toLowerCase()}${object.slice(1)}Members`;
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}
