/** Reads the comments of the interfaces in `src`, which describe the members of the wire types in OpenAPI and JSON Schema. */
import { readdirSync, readFileSync } from "node:fs";

/** The description of an interface and of its members. */
export interface InterfaceDescription {
  readonly text: string | undefined;
  readonly members: ReadonlyMap<string, string>;
}

const source = new URL("../src/", import.meta.url);

/** Returns the descriptions of every interface by its name. An interface has the members of the one that it extends. */
function readDescriptions(): ReadonlyMap<string, InterfaceDescription> {
  const found = new Map<string, InterfaceDescription>();
  for (const file of readdirSync(source, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts") || /\.(?:gen|test|test-d)\.ts$/.test(file)) continue;
    const text = readFileSync(new URL(file, source), "utf8");
    for (const [, comment, name = "", base = "", body = ""] of text.matchAll(interfacePattern)) {
      const members = [...body.matchAll(memberPattern)].map(
        ([, about = "", member = ""]) => [member, plain(about)] as const,
      );
      const inherited = found.get(base)?.members ?? [];
      const about = comment === undefined ? undefined : plain(comment);
      found.set(name, { text: about, members: new Map([...inherited, ...members]) });
    }
  }
  return found;
}

const interfacePattern =
  /(?:\/\*\*((?:(?!\*\/)[^])*)\*\/\n)?(?:export )?interface (\w+)(?: extends (?:Omit<)?(\w+))?[^{]*\{([^]*?)\n\}/g;
const memberPattern = /\/\*\*((?:(?!\*\/)[^])*)\*\/\s*(?:readonly )?"?([\w-]+)"?\??:/g;

/** Returns a comment as one line of text, without stars and links. */
function plain(comment: string): string {
  return comment
    .replaceAll(/^\s*\*/gm, " ")
    .replaceAll(/\{@link (\w+)\}/g, "`$1`")
    .replaceAll(/\s+/g, " ")
    .trim();
}

/** The descriptions of every interface. */
export const descriptions: ReadonlyMap<string, InterfaceDescription> = readDescriptions();
