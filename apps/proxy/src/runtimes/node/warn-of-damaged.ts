import process from "node:process";
import { printable } from "../../cli/printable.ts";

/** Tells whoever runs a command of a damaged record, which lists leave out. */
export function warnOfDamaged(id: string): void {
  const shown = printable(id);
  process.stderr.write(
    `letta-proxy: the stored record of the key ${shown} is damaged: the key is not valid, and 'letta-proxy keys revoke ${shown}' replaces the record.\n`,
  );
}
