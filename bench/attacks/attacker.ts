/** Runs one attack in its own process until it is killed: `attacker.ts NAME URL KEY`. */
import process from "node:process";
import { attacks, type Attack } from "./attacks.ts";
import { openRawSocket } from "./raw-socket.ts";

const [, , name, url = "", key = ""] = process.argv;
const found = attacks.find((attack) => attack.name === name);
if (found === undefined) throw new Error(`there is no attack ${name}`);

async function register(deviceId: string): Promise<string | null> {
  const response = await fetch(`${url}/v1/environments/register`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({ deviceId, connectionName: deviceId }),
  });
  const body = (await response.json()) as { readonly wsUrl?: string };
  return response.status === 200 ? (body.wsUrl ?? null) : null;
}

/** Attacks without end. A refused registration or upgrade is repeated after a tenth of a second, whatever `Retry-After` says. */
async function attackForever(attack: Attack, number: number): Promise<void> {
  for (let round = 0; ; round++) {
    const deviceId = `attacker-${number}${attack.changesNames === true ? `-${round}` : ""}`;
    const wsUrl = await register(deviceId).catch(() => null);
    const socket = wsUrl === null ? null : await openRawSocket(wsUrl, key);
    if (socket === null) {
      await new Promise((resolve) => void setTimeout(resolve, 100));
      continue;
    }
    await attack.run(socket);
    socket.tcp.destroy();
  }
}

for (let number = 0; number < found.sockets; number++) void attackForever(found, number);
