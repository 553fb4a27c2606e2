import { helpText } from "./command-line/help-text.ts";
import { parseCommandLine } from "./command-line/parse-command-line.ts";
import { type ExitCode, exitCodes } from "./exit-code.ts";
import type { Host } from "./host.ts";

/** Runs the command line of a host and resolves with the exit code. */
export async function runCommand(host: Host): Promise<ExitCode> {
  const line = parseCommandLine(host.args);
  switch (line.kind) {
    case "help":
      await host.stdout.write(helpText(line.command));
      return exitCodes.done;
    case "version": {
      const { version } = await import("./version.ts");
      await host.stdout.write(`${version}\n`);
      return exitCodes.done;
    }
    case "misused": {
      const help = ["letta-env help", ...(line.command === null ? [] : [line.command.name])].join(" ");
      await host.stderr.write(`letta-env: ${line.reason}\n'${help}' tells how it is used.\n`);
      return exitCodes.misused;
    }
    case "run": {
      // The client is loaded for commands that use it.
      const { runParsed } = await import("./run-parsed.ts");
      return runParsed(host, line.parsed);
    }
  }
}
