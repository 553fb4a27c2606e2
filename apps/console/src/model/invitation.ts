/** The command that enrols an invited device, as `letta-proxy devices invite` prints it. */

/** The command for a POSIX shell, in one line. */
export function deviceCommand(baseUrl: string, key: string, name: string, version: string): string {
  return [
    `LETTA_BASE_URL=${quoted(baseUrl)}`,
    `LETTA_API_KEY=${quoted(key)}`,
    "IGNORE_SELF_HOSTED_LISTENER_ERROR=1",
    `npx -y @letta-ai/letta-code@${version} server --backend local`,
    `--computer-name ${name === "" ? '"$(hostname)"' : quoted(name)}`,
  ].join(" ");
}

/** A word as a POSIX shell reads it. */
function quoted(word: string): string {
  return /^[\w./:@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
