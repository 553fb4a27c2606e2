// Written by scripts/generate.ts from the schemas; never edited. Reads what JSON can hold: a member that is undefined is absent.
import type { Environment, EnvironmentList } from "./environment.ts";
import type { ListEnvironmentsWireQuery } from "./list-query.ts";
import type { Problem } from "./problem.ts";
import type { RegisterRequest, RegisterResponse } from "./register.ts";
import type { SendMessageBody, SendMessageResponse } from "./message.ts";
import { isDisplayable, isListLimit, isMeantAsApproval, isMeantAsToolReturn, isWellFormed } from "./wire-rules.ts";
import { isIdentifier } from "./is-identifier.ts";
import { isRecord } from "./is-record.ts";

const isText = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): boolean => typeof value === "number";
const isFlag = (value: unknown): boolean => typeof value === "boolean";
const isEach = (value: unknown, check: (item: unknown) => boolean): value is readonly unknown[] => {
  if (!Array.isArray(value)) return false;
  // An index is faster than an iterator on every engine but V8.
  for (let index = 0; index < value.length; index++) if (!check(value[index])) return false;
  return true;
};
// Not by isEach: engines inline a check into a loop that knows only that one.
const isTextsOrAbsent = (value: unknown): boolean => value === undefined || (Array.isArray(value) && value.every((item) => isText(item)));
/** Whether a value fits; where only a part of it does not, the path of that part: `.os`, `[3].os`. */
type Finding = boolean | string;
type Check = (value: unknown) => Finding;
const inMembers = (value: unknown, checks: Readonly<Record<string, Check>>): Finding => {
  if (!isRecord(value)) return false;
  for (const name of Object.keys(checks)) {
    const finding = checks[name]?.(value[name]);
    if (finding !== true) return `.${name}${finding || ""}`;
  }
  return true;
};
const inItems = (value: unknown, check: Check, minLength = 0): Finding => {
  if (!Array.isArray(value) || value.length < minLength) return false;
  for (let index = 0; index < value.length; index++) {
    const finding = check(value[index]);
    if (finding !== true) return `[${index}]${finding || ""}`;
  }
  return true;
};
const pathOf = (finding: Finding): string | null => (finding === true ? null : finding ? finding.slice(1) : "");
const isTextOrAbsent = (value: unknown): boolean => value === undefined || isText(value);
const isNumberOrNull = (value: unknown): boolean => value === null || isNumber(value);
const isTextOrNull = (value: unknown): boolean => value === null || isText(value);
const isTextIdentifier = (value: unknown): boolean => isText(value) && isIdentifier(value);
const isTextListLimit = (value: unknown): boolean => isText(value) && isListLimit(value);
const isTextFrom1To256 = (value: unknown): boolean => isText(value) && value.length >= 1 && value.length <= 256;
const isTextWellFormedFrom1To256 = (value: unknown): boolean => isText(value) && isWellFormed(value) && value.length >= 1 && value.length <= 256;
const isTextFrom1 = (value: unknown): boolean => isText(value) && value.length >= 1;
const isTextWellFormedTo256 = (value: unknown): boolean => isText(value) && isWellFormed(value) && value.length <= 256;
const isTextFrom1To256Displayable = (value: unknown): boolean => isText(value) && value.length >= 1 && value.length <= 256 && isDisplayable(value);

const isSelfUpdate = (value: unknown): boolean =>
  isRecord(value) &&
  isFlag(value["supported"]) &&
  isFlag(value["writable"]) &&
  isTextOrAbsent(value["install_path"]) &&
  isTextOrAbsent(value["manual_command"]) &&
  isTextOrAbsent(value["reason"]);

const membersOfSelfUpdate: Readonly<Record<string, Check>> = {
  supported: isFlag,
  writable: isFlag,
  install_path: isTextOrAbsent,
  manual_command: isTextOrAbsent,
  reason: isTextOrAbsent,
};

const isEnvironmentMetadata = (value: unknown): boolean =>
  isRecord(value) &&
  isTextOrAbsent(value["gitBranch"]) &&
  isTextOrAbsent(value["lettaCodeVersion"]) &&
  isTextOrAbsent(value["nodeVersion"]) &&
  isTextOrAbsent(value["os"]) &&
  (value["self_update"] === undefined || isSelfUpdate(value["self_update"])) &&
  isTextsOrAbsent(value["supported_commands"]) &&
  isTextOrAbsent(value["workingDirectory"]);

const membersOfEnvironmentMetadata: Readonly<Record<string, Check>> = {
  gitBranch: isTextOrAbsent,
  lettaCodeVersion: isTextOrAbsent,
  nodeVersion: isTextOrAbsent,
  os: isTextOrAbsent,
  self_update: (value) => value === undefined || inMembers(value, membersOfSelfUpdate),
  supported_commands: (value) => value === undefined || inItems(value, isText),
  workingDirectory: isTextOrAbsent,
};

/** Whether a value is as in {@link Environment}. */
export const isEnvironment = (value: unknown): value is Environment =>
  isRecord(value) &&
  isText(value["id"]) &&
  isNumberOrNull(value["connectedAt"]) &&
  isTextOrNull(value["connectionId"]) &&
  isText(value["connectionName"]) &&
  isText(value["deviceId"]) &&
  isNumber(value["firstSeenAt"]) &&
  isNumberOrNull(value["lastHeartbeat"]) &&
  isNumber(value["lastSeenAt"]) &&
  isText(value["organizationId"]) &&
  isTextOrNull(value["podId"]) &&
  isTextOrAbsent(value["apiKeyOwner"]) &&
  isTextOrAbsent(value["currentMode"]) &&
  (value["metadata"] === undefined || isEnvironmentMetadata(value["metadata"])) &&
  isTextOrAbsent(value["userId"]);

const membersOfEnvironment: Readonly<Record<string, Check>> = {
  id: isText,
  connectedAt: isNumberOrNull,
  connectionId: isTextOrNull,
  connectionName: isText,
  deviceId: isText,
  firstSeenAt: isNumber,
  lastHeartbeat: isNumberOrNull,
  lastSeenAt: isNumber,
  organizationId: isText,
  podId: isTextOrNull,
  apiKeyOwner: isTextOrAbsent,
  currentMode: isTextOrAbsent,
  metadata: (value) => value === undefined || inMembers(value, membersOfEnvironmentMetadata),
  userId: isTextOrAbsent,
};

/** Path of the first member that is not as in {@link Environment}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findEnvironmentMismatch = (value: unknown): string | null => pathOf(inMembers(value, membersOfEnvironment));

/** Whether a value is as in {@link EnvironmentList}. */
export const isEnvironmentList = (value: unknown): value is EnvironmentList =>
  isRecord(value) &&
  isEach(value["connections"], isEnvironment) &&
  isFlag(value["hasNextPage"]);

const membersOfEnvironmentList: Readonly<Record<string, Check>> = {
  connections: (value) => inItems(value, (value) => inMembers(value, membersOfEnvironment)),
  hasNextPage: isFlag,
};

/** Path of the first member that is not as in {@link EnvironmentList}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findEnvironmentListMismatch = (value: unknown): string | null => pathOf(inMembers(value, membersOfEnvironmentList));

/** Whether a value is as in {@link ListEnvironmentsWireQuery}. */
export const isListEnvironmentsWireQuery = (value: unknown): value is ListEnvironmentsWireQuery =>
  isRecord(value) &&
  (value["after"] === undefined || isTextIdentifier(value["after"])) &&
  (value["limit"] === undefined || isTextListLimit(value["limit"])) &&
  (value["onlineOnly"] === undefined || (value["onlineOnly"] === "true" || value["onlineOnly"] === "false")) &&
  (value["source"] === undefined || (value["source"] === "local" || value["source"] === "remote")) &&
  (value["userId"] === undefined || isTextFrom1To256(value["userId"]));

const membersOfListEnvironmentsWireQuery: Readonly<Record<string, Check>> = {
  after: (value) => (value === undefined || isTextIdentifier(value)),
  limit: (value) => (value === undefined || isTextListLimit(value)),
  onlineOnly: (value) => (value === undefined || (value === "true" || value === "false")),
  source: (value) => (value === undefined || (value === "local" || value === "remote")),
  userId: (value) => (value === undefined || isTextFrom1To256(value)),
};

/** Path of the first member that is not as in {@link ListEnvironmentsWireQuery}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findListEnvironmentsWireQueryMismatch = (value: unknown): string | null => pathOf(inMembers(value, membersOfListEnvironmentsWireQuery));

const isTextPart = (value: unknown): boolean =>
  isRecord(value) &&
  isText(value["text"]) &&
  (value["type"] === "text");

const membersOfTextPart: Readonly<Record<string, Check>> = {
  text: isText,
  type: (value) => (value === "text"),
};

const isToolReturn = (value: unknown): boolean =>
  isRecord(value) &&
  (value["status"] === "success" || value["status"] === "error") &&
  isTextWellFormedFrom1To256(value["tool_call_id"]) &&
  (Array.isArray(value["tool_return"]) ? isEach(value["tool_return"], isTextPart) : isText(value["tool_return"])) &&
  (value["stderr"] === undefined || (value["stderr"] === null || isEach(value["stderr"], isText))) &&
  (value["stdout"] === undefined || (value["stdout"] === null || isEach(value["stdout"], isText))) &&
  (value["type"] === undefined || (value["type"] === "tool"));

const membersOfToolReturn: Readonly<Record<string, Check>> = {
  status: (value) => (value === "success" || value === "error"),
  tool_call_id: isTextWellFormedFrom1To256,
  tool_return: (value) => (Array.isArray(value) ? inItems(value, (value) => inMembers(value, membersOfTextPart)) : isText(value)),
  stderr: (value) => value === undefined || (value === null || inItems(value, isText)),
  stdout: (value) => value === undefined || (value === null || inItems(value, isText)),
  type: (value) => (value === undefined || (value === "tool")),
};

const isApprovalDecision = (value: unknown): boolean =>
  isRecord(value) &&
  isFlag(value["approve"]) &&
  isTextWellFormedFrom1To256(value["tool_call_id"]) &&
  (value["reason"] === undefined || isTextOrNull(value["reason"])) &&
  (value["type"] === undefined || (value["type"] === "approval")) &&
  (value["updated_input"] === undefined || (value["updated_input"] === null || isRecord(value["updated_input"])));

const membersOfApprovalDecision: Readonly<Record<string, Check>> = {
  approve: isFlag,
  tool_call_id: isTextWellFormedFrom1To256,
  reason: (value) => (value === undefined || isTextOrNull(value)),
  type: (value) => (value === undefined || (value === "approval")),
  updated_input: (value) => (value === undefined || (value === null || isRecord(value))),
};

const isApprovalMessage = (value: unknown): boolean =>
  isRecord(value) &&
  isEach(value["approvals"], (item) => (isMeantAsToolReturn(item) ? isToolReturn(item) : isApprovalDecision(item))) && value["approvals"].length >= 1 &&
  (value["type"] === "approval");

const membersOfApprovalMessage: Readonly<Record<string, Check>> = {
  approvals: (value) => inItems(value, (value) => (isMeantAsToolReturn(value) ? inMembers(value, membersOfToolReturn) : inMembers(value, membersOfApprovalDecision)), 1),
  type: (value) => (value === "approval"),
};

const isUserMessage = (value: unknown): boolean =>
  isRecord(value) &&
  isTextWellFormedFrom1To256(value["client_message_id"]) &&
  (Array.isArray(value["content"]) ? isEach(value["content"], isTextPart) && value["content"].length >= 1 : isTextFrom1(value["content"])) &&
  (value["role"] === "user") &&
  (value["otid"] === undefined || isTextWellFormedFrom1To256(value["otid"]));

const membersOfUserMessage: Readonly<Record<string, Check>> = {
  client_message_id: isTextWellFormedFrom1To256,
  content: (value) => (Array.isArray(value) ? inItems(value, (value) => inMembers(value, membersOfTextPart), 1) : isTextFrom1(value)),
  role: (value) => (value === "user"),
  otid: (value) => (value === undefined || isTextWellFormedFrom1To256(value)),
};

/** Whether a value is as in {@link SendMessageBody}. */
export const isSendMessageBody = (value: unknown): value is SendMessageBody =>
  isRecord(value) &&
  isEach(value["messages"], (item) => (isMeantAsApproval(item) ? isApprovalMessage(item) : isUserMessage(item))) && value["messages"].length >= 1 &&
  (value["agentId"] === undefined || isTextWellFormedFrom1To256(value["agentId"])) &&
  (value["conversationId"] === undefined || (value["conversationId"] === null || isTextWellFormedTo256(value["conversationId"])));

const membersOfSendMessageBody: Readonly<Record<string, Check>> = {
  messages: (value) => inItems(value, (value) => (isMeantAsApproval(value) ? inMembers(value, membersOfApprovalMessage) : inMembers(value, membersOfUserMessage)), 1),
  agentId: (value) => (value === undefined || isTextWellFormedFrom1To256(value)),
  conversationId: (value) => (value === undefined || (value === null || isTextWellFormedTo256(value))),
};

/** Path of the first member that is not as in {@link SendMessageBody}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findSendMessageBodyMismatch = (value: unknown): string | null => pathOf(inMembers(value, membersOfSendMessageBody));

/** Whether a value is as in {@link SendMessageResponse}. */
export const isSendMessageResponse = (value: unknown): value is SendMessageResponse =>
  isRecord(value) &&
  isText(value["message"]) &&
  isFlag(value["success"]);

const membersOfSendMessageResponse: Readonly<Record<string, Check>> = {
  message: isText,
  success: isFlag,
};

/** Path of the first member that is not as in {@link SendMessageResponse}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findSendMessageResponseMismatch = (value: unknown): string | null => pathOf(inMembers(value, membersOfSendMessageResponse));

/** Whether a value is as in {@link RegisterRequest}. */
export const isRegisterRequest = (value: unknown): value is RegisterRequest =>
  isRecord(value) &&
  isTextIdentifier(value["deviceId"]) &&
  isTextFrom1To256Displayable(value["connectionName"]) &&
  (value["listenerInstanceId"] === undefined || isTextIdentifier(value["listenerInstanceId"])) &&
  (value["metadata"] === undefined || isEnvironmentMetadata(value["metadata"]));

const membersOfRegisterRequest: Readonly<Record<string, Check>> = {
  deviceId: isTextIdentifier,
  connectionName: isTextFrom1To256Displayable,
  listenerInstanceId: (value) => (value === undefined || isTextIdentifier(value)),
  metadata: (value) => value === undefined || inMembers(value, membersOfEnvironmentMetadata),
};

/** Path of the first member that is not as in {@link RegisterRequest}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findRegisterRequestMismatch = (value: unknown): string | null => pathOf(inMembers(value, membersOfRegisterRequest));

/** Whether a value is as in {@link RegisterResponse}. */
export const isRegisterResponse = (value: unknown): value is RegisterResponse =>
  isRecord(value) &&
  isText(value["connectionId"]) &&
  isText(value["wsUrl"]) &&
  (value["supportsSplitStatusChannels"] === undefined || isFlag(value["supportsSplitStatusChannels"])) &&
  (value["supportsPairedListenerGenerations"] === undefined || isFlag(value["supportsPairedListenerGenerations"]));

const membersOfRegisterResponse: Readonly<Record<string, Check>> = {
  connectionId: isText,
  wsUrl: isText,
  supportsSplitStatusChannels: (value) => (value === undefined || isFlag(value)),
  supportsPairedListenerGenerations: (value) => (value === undefined || isFlag(value)),
};

/** Path of the first member that is not as in {@link RegisterResponse}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findRegisterResponseMismatch = (value: unknown): string | null => pathOf(inMembers(value, membersOfRegisterResponse));

const isErrors = (value: unknown): boolean =>
  isRecord(value) &&
  isText(value["member"]) &&
  isText(value["rule"]);

const membersOfErrors: Readonly<Record<string, Check>> = {
  member: isText,
  rule: isText,
};

/** Whether a value is as in {@link Problem}. */
export const isProblem = (value: unknown): value is Problem =>
  isRecord(value) &&
  isText(value["type"]) &&
  isText(value["title"]) &&
  isNumber(value["status"]) &&
  isText(value["detail"]) &&
  isText(value["message"]) &&
  isText(value["error"]) &&
  isText(value["errorCode"]) &&
  (value["errors"] === undefined || isEach(value["errors"], isErrors));

const membersOfProblem: Readonly<Record<string, Check>> = {
  type: isText,
  title: isText,
  status: isNumber,
  detail: isText,
  message: isText,
  error: isText,
  errorCode: isText,
  errors: (value) => value === undefined || inItems(value, (value) => inMembers(value, membersOfErrors)),
};

/** Path of the first member that is not as in {@link Problem}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findProblemMismatch = (value: unknown): string | null => pathOf(inMembers(value, membersOfProblem));
