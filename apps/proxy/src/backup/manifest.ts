/** The table of contents of a backup, and its first file: it lists the other files with sizes and digests, and names the pepper of the keys. */
import * as v from "valibot";
import { parseJson } from "../lib/json.ts";

/** The name of the manifest in the archive. */
export const manifestName = "manifest.json";

/** The name of the pepper in the archive and in the data directory. */
export const pepperName = "pepper";

/** The newest form of the manifest. */
export const manifestFormat = 1;

/** The largest manifest, in bytes. */
export const maxManifestBytes = 65_536;

/** A file of a backup. */
export interface BackedUpFile {
  readonly name: string;
  readonly bytes: number;
  /** In hex. */
  readonly sha256: string;
}

/** The table of contents of a backup. */
export interface BackupManifest {
  readonly format: typeof manifestFormat;
  /** Version of the gateway that wrote it. */
  readonly version: string;
  /** Epoch milliseconds. */
  readonly createdAt: number;
  /** Identifies the pepper of the keys and the audit log without revealing it; `null` if there are neither. */
  readonly pepperId: string | null;
  readonly files: readonly BackedUpFile[];
}

/** The databases in the order in which they are copied. Audit records come last, so that they cover everything in the others. */
export const databaseNames: readonly string[] = [
  "environments.sqlite",
  "proxy.sqlite",
  "limits.sqlite",
  "audit.sqlite",
];

/** The files of a data directory that a backup can contain. Their names are never paths. */
export const dataFiles: readonly string[] = [...databaseNames, pepperName];

const ManifestSchema: v.GenericSchema<unknown, BackupManifest> = v.object({
  format: v.literal(manifestFormat),
  version: v.string(),
  createdAt: v.pipe(v.number(), v.integer()),
  pepperId: v.nullable(v.string()),
  files: v.pipe(
    v.array(
      v.object({
        name: v.picklist(dataFiles),
        bytes: v.pipe(v.number(), v.integer(), v.minValue(0)),
        sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
      }),
    ),
    v.check((files) => new Set(files.map(({ name }) => name)).size === files.length),
  ),
});

/** Returns the manifest as the text of its file. */
export function formatManifest(manifest: BackupManifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

export type ParsedManifest =
  | { readonly kind: "manifest"; readonly manifest: BackupManifest }
  /** A newer version of this program wrote it. */
  | { readonly kind: "newer" }
  | { readonly kind: "invalid" };

export function parseManifest(text: string): ParsedManifest {
  const value = parseJson(text);
  const parsed = v.safeParse(ManifestSchema, value);
  if (parsed.success) return { kind: "manifest", manifest: parsed.output };
  const format = v.safeParse(v.object({ format: v.pipe(v.number(), v.minValue(manifestFormat + 1)) }), value);
  return { kind: format.success ? "newer" : "invalid" };
}
