import { CommandError, parseCommandLine, printable } from "@letta-environments/command-line";
import { exitCodes } from "./exit-code.ts";
import type { Host } from "./host.ts";
import { program } from "./program.ts";

/** Runs the command line of a host and resolves with the exit code. */
export async function runCommandLine(host: Host): Promise<number> {
  try {
    return await runLine(host);
  } catch (error) {
    // Output that cannot be written, such as on a full disk.
    if (!(error instanceof CommandError)) throw error;
    await host.stderr.write(`letta-env: ${printable(error.message)}\n`);
    return error.exitCode;
  }
}

async function runLine(host: Host): Promise<number> {
  const line = parseCommandLine(program, host.args, host.stdout.columns() ?? undefined);
  switch (line.kind) {
    case "help":
      await host.stdout.write(line.text);
      return exitCodes.done;
    case "version": {
      const { default: manifest } = await import("../package.json", { with: { type: "json" } });
      await host.stdout.write(`${manifest.version}\n`);
      return exitCodes.done;
    }
    case "misused":
      await host.stderr.write(line.text);
      return exitCodes.misused;
    case "run": {
      // Help and errors appear without loading the client.
      const { execute } = await import("./execute.ts");
      return execute(host, line.parsed);
    }
  }
}
