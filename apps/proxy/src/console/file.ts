/** A file of the console in one encoding. */
export interface ConsoleFile {
  readonly bytes: Uint8Array;
  readonly encoding: "br" | "gzip" | null;
  readonly mediaType: string;
  readonly entityTag: string;
  /** Whether the name changes with the content. */
  readonly isImmutable: boolean;
}

/** Reads a file by its name in an encoding that the header `Accept-Encoding` allows; `null` if there is none with this name. */
export type ReadConsoleFile = (name: string, acceptEncoding: string) => Promise<ConsoleFile | null>;
