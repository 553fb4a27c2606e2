import { expect, test } from "vitest";
import { formatDeviceCommand } from "./device-command.ts";

test("the device command is one line for a POSIX shell, and uses the host name as the device name by default", () => {
  const options = { baseUrl: "https://gateway.example", key: "lek_a_b", name: null, version: "1.2.3" };
  expect(formatDeviceCommand(options)).toBe(
    "LETTA_BASE_URL=https://gateway.example LETTA_API_KEY=lek_a_b IGNORE_SELF_HOSTED_LISTENER_ERROR=1 " +
      'npx -y @letta-ai/letta-code@1.2.3 server --backend local --computer-name "$(hostname)"',
  );
});

test("the device command quotes a name with shell metacharacters", () => {
  const options = { baseUrl: "http://127.0.0.1:8787", key: "k", name: "Ada's $(box)", version: "1.2.3" };
  expect(formatDeviceCommand(options)).toMatch(/ --computer-name 'Ada'\\''s \$\(box\)'$/);
});
