/** The command for the web console. */
import { formatConsoleLink, readConsoleLink } from "../../../commands/console-link.ts";
import { type CommandContext, print, readGatewayUrl } from "./context.ts";
import { createLocalLink } from "./local-keys.ts";

/** `console link`: prints the link alone on standard output. */
export async function consoleLinkCommand(context: CommandContext): Promise<void> {
  const request = readConsoleLink(context.parsed.options);
  const baseUrl = readGatewayUrl(context);
  print(`${formatConsoleLink(baseUrl, await createLocalLink(context, request))}\n`);
}
