/**
 * Rules of the embedded environment server that follow those of the gateway, if they can be decided without sending anything: the input, the device
 * of a connection, its socket, a repeated message id, the agent of a named conversation, and the maximum mode. It does read from the server, because
 * a read changes nothing.
 */
import {
  allowsDevice,
  allowsMode,
  controlTargetOf,
  type DecodedRequest,
  defaultConversationId,
  isApprovalMessage,
  modeCeiling,
  type PlainResponse,
  type Principal,
  type SendMessageBody,
} from "@letta-environments/schema";
import type { EmbeddedServer } from "../ports.ts";
import { parseJsonObject } from "../lib/json.ts";
import { describeProblem, type DryRunExchange } from "./dry-run.ts";
import { type ExplainedRule, type Explanation, finding } from "./explanation.ts";

/** The rules of the environment server, and its response if it is known. */
export interface UpstreamExplanation {
  readonly rules: readonly ExplainedRule[];
  readonly verdict: Explanation["verdict"];
}

/** The check of the input, and the facts that an explanation may contain. */
export interface ExplainSettings {
  readonly refuseInput: (request: DecodedRequest, principal: Principal) => PlainResponse | null;
  /** Whether devices are connected to this process. A command can read only what is stored. */
  readonly isRunning: boolean;
  /** Whether the reader may know which devices the tenant has; otherwise hidden devices look as if they did not exist. */
  readonly seesEveryDevice: boolean;
}

/** Explains what the embedded server does with a request that the gateway forwards. */
export async function explainEmbedded(
  server: EmbeddedServer,
  { endpoint, principal, input, request }: DryRunExchange,
  settings: ExplainSettings,
): Promise<UpstreamExplanation> {
  if (endpoint === undefined || principal === undefined || input === undefined) return undecided;
  const context = { authority: request.authority, signal: request.signal };
  const { decoded } = input;
  const connectionId = "connectionId" in decoded.params ? decoded.params.connectionId : null;
  const isRead = endpoint.method === "GET" && endpoint.successStatus !== 101;
  if (isRead && !settings.isRunning) return { rules: [notRunning("read the devices")], verdict: null };
  switch (decoded.operation) {
    case "listEnvironments":
    case "listApprovals":
    case "retrieveEnvironment":
    case "retrieveLastRuntime":
    case "listMessages":
      return explainRead(await server.operate(decoded.operation, decoded, principal, context));
    case "retrieveMessage": {
      // The end of the turn, for which the request may wait, does not change whether the message is found.
      const { wait: _wait, ...query } = decoded.query;
      return explainRead(await server.operate(decoded.operation, { ...decoded, query }, principal, context));
    }
    case "openDeviceSocket":
      return undecided;
    default:
      if (connectionId === null) return undecided;
      return explainConnection(server, { ...settings, decoded, principal, connectionId }, context);
  }
}

const notRunning = (rule: string): ExplainedRule =>
  finding(rule, "unknown", "only the running gateway knows; ask it with --url");

const undecided: UpstreamExplanation = { rules: [], verdict: null };

function explainRead(response: PlainResponse): UpstreamExplanation {
  const { status } = response;
  if (status >= 400) return refuseWith(findRuleName, response);
  return { rules: [finding(findRuleName, "passed")], verdict: { status, errorCode: null } };
}

/** The refusal by a rule of this process. */
export function refuseWith(rule: string, response: PlainResponse): UpstreamExplanation {
  const { detail, errorCode } = describeProblem(response);
  return refuse([], rule, errorCode, response.status, detail);
}

const findRuleName = "find the device";
const reachRuleName = "reach the device";
const repeatRuleName = "recognise a repeat";

interface ConnectionRequest extends ExplainSettings {
  readonly decoded: DecodedRequest;
  readonly principal: Principal;
  readonly connectionId: string;
}

async function explainConnection(
  server: EmbeddedServer,
  { refuseInput, decoded, principal, connectionId, isRunning, seesEveryDevice }: ConnectionRequest,
  context: { readonly authority: string | null },
): Promise<UpstreamExplanation> {
  // In the order of the server, which looks up the device of an input that it accepts.
  const refusal = refuseInput(decoded, principal);
  if (refusal !== null) return refuseWith("check the input", refusal);
  const record = await server.findConnection(principal.tenant, connectionId);
  if (record === null || !allowsDevice(principal, record.environment)) {
    // Another tenant's device and one outside the allowlist look as if they did not exist.
    const [absent, excluded] = [
      "the tenant has no such connection",
      "the device is outside the allowlist of the key or its tenant",
    ];
    const known = record === null ? absent : excluded;
    const detail = seesEveryDevice ? known : `${absent}, or ${excluded}`;
    return refuse([], findRuleName, "connection_not_found", 404, detail);
  }
  const rules = [finding(findRuleName, "passed", `device ${record.environment.deviceId}`)];
  // Tickets are also for devices that are offline.
  if (decoded.operation === "createViewerTicket") return { rules, verdict: null };
  if (!isRunning) return { rules: [...rules, notRunning(reachRuleName)], verdict: null };
  const params = { deviceId: record.environment.deviceId };
  const reading = { params, query: null, body: null };
  const read = await server.operate("retrieveEnvironment", reading, principal, context);
  if (read.status >= 500) {
    const { detail, errorCode } = describeProblem(read);
    return { rules: [...rules, finding(reachRuleName, "unknown", detail, errorCode)], verdict: null };
  }
  const send = decoded.operation === "sendMessage" ? decoded.body : null;
  if (send !== null && (await isRepeat(server, principal, connectionId, send, context))) {
    const detail = "the message id is known: the response is that of the first send, and nothing is sent";
    return { rules: [...rules, finding(repeatRuleName, "passed", detail)], verdict: null };
  }
  if (send !== null) rules.push(finding(repeatRuleName, "passed", "it is not a repeat"));
  const row = parseJsonObject(read.body);
  const isShown = row?.["id"] === record.environment.id;
  if (isShown && row["connectionId"] !== connectionId) {
    const code = record.latest ? "device_offline" : "connection_replaced";
    return refuse(rules, reachRuleName, code, 409, "the connection has no open socket");
  }
  // A device with several listeners has several rows. A read returns one of them.
  const detail = isShown ? null : "the device has several listeners, and this connection does not belong to the latest";
  rules.push(finding(reachRuleName, isShown ? "passed" : "unknown", detail));
  const { conversationId } = send ?? controlTargetOf(decoded) ?? {};
  const isNamed = Boolean(conversationId) && conversationId !== defaultConversationId;
  const needsAgent = isNamed && principal.agentIds !== null;
  if (needsAgent) rules.push(agentRule);
  const unsettable = send === null ? null : unsettableMode(principal, send);
  if (unsettable !== null) {
    const isFirst =
      isShown && row["sendProblem"] === undefined && !needsAgent && !send?.messages.some(isApprovalMessage);
    if (isFirst) return refuse(rules, modeRuleName, "mode_not_allowed", 403, unsettable);
    rules.push(finding(modeRuleName, "unknown", unsettable, "mode_not_allowed"));
  } else if (send !== null && principal.maxMode !== null) rules.push(modeRule(principal, row?.["currentMode"]));
  return { rules, verdict: null };
}

const modeRuleName = "check the mode";

/** Returns why messages are refused in every mode: the key may not set its own `setMode`. `null` if they are not. Decisions set no mode. */
function unsettableMode(principal: Principal, { messages }: SendMessageBody): string | null {
  const { setMode = null } = principal;
  const ceiling = modeCeiling(principal);
  if (setMode === null || allowsMode({ maxMode: ceiling }, setMode) || messages.every(isApprovalMessage)) return null;
  return `the key may not set a mode beyond ${ceiling}, and sets ${setMode}`;
}

const agentRule = finding(
  "check the agent of the conversation",
  "unknown",
  "only the device knows to which agent the conversation belongs, and a key that is limited to agents may use only one of the named agent",
);

/** The mode of the conversation is checked when the message leaves, and only the device knows it. */
function modeRule(principal: Principal, currentMode: unknown): ExplainedRule {
  const mode = typeof currentMode === "string" ? currentMode : undefined;
  const isAllowed = allowsMode(principal, mode);
  const shown = mode === undefined ? "the device has not reported a mode" : `the device last reported the mode ${mode}`;
  const detail = `${shown}, which the key's maximum ${isAllowed ? "allows" : "does not allow"}; the conversation's own mode counts`;
  return finding(modeRuleName, "unknown", detail, isAllowed ? null : "mode_not_allowed");
}

async function isRepeat(
  server: EmbeddedServer,
  principal: Principal,
  connectionId: string,
  { messages, agentId, conversationId }: SendMessageBody,
  context: { readonly authority: string | null },
): Promise<boolean> {
  const query = { ...(agentId && { agentId }), conversationId: conversationId || defaultConversationId };
  for (const message of messages) {
    const id = "client_message_id" in message ? message.client_message_id : undefined;
    if (typeof id !== "string") continue;
    const input = { params: { connectionId, clientMessageId: id }, query, body: null };
    // The rights of the key to read the status do not matter here.
    const response = await server.operate("retrieveMessage", input, principal, context).catch(() => null);
    if (response?.status === 200) return true;
  }
  return false;
}

function refuse(
  rules: readonly ExplainedRule[],
  rule: string,
  errorCode: string | null,
  status: number,
  detail: string | null,
): UpstreamExplanation {
  return { rules: [...rules, finding(rule, "refused", detail, errorCode)], verdict: { status, errorCode } };
}
