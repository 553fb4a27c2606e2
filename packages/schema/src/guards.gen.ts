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
const isTextsOrAbsent = (value: unknown = []): boolean => Array.isArray(value) && value.every((item) => isText(item));
const join = (name: string, path: string): string => (path === "" ? name : `${name}.${path}`);
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

const findSelfUpdateMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  if (!isFlag(value["supported"])) return "supported";
  if (!isFlag(value["writable"])) return "writable";
  if (!isTextOrAbsent(value["install_path"])) return "install_path";
  if (!isTextOrAbsent(value["manual_command"])) return "manual_command";
  if (!isTextOrAbsent(value["reason"])) return "reason";
  return null;
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

const findEnvironmentMetadataMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  if (!isTextOrAbsent(value["gitBranch"])) return "gitBranch";
  if (!isTextOrAbsent(value["lettaCodeVersion"])) return "lettaCodeVersion";
  if (!isTextOrAbsent(value["nodeVersion"])) return "nodeVersion";
  if (!isTextOrAbsent(value["os"])) return "os";
  if (value["self_update"] !== undefined) {
    const member = value["self_update"];
    const path = findSelfUpdateMismatch(member);
    if (path !== null) return join("self_update", path);
  }
  if (value["supported_commands"] !== undefined) {
    const member = value["supported_commands"];
    if (!Array.isArray(member)) return "supported_commands";
    for (let index = 0; index < member.length; index++) {
      const item: unknown = member[index];
      if (!isText(item)) return `supported_commands[${index}]`;
    }
  }
  if (!isTextOrAbsent(value["workingDirectory"])) return "workingDirectory";
  return null;
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

/** Path of the first member that is not as in {@link Environment}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findEnvironmentMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  if (!isText(value["id"])) return "id";
  if (!isNumberOrNull(value["connectedAt"])) return "connectedAt";
  if (!isTextOrNull(value["connectionId"])) return "connectionId";
  if (!isText(value["connectionName"])) return "connectionName";
  if (!isText(value["deviceId"])) return "deviceId";
  if (!isNumber(value["firstSeenAt"])) return "firstSeenAt";
  if (!isNumberOrNull(value["lastHeartbeat"])) return "lastHeartbeat";
  if (!isNumber(value["lastSeenAt"])) return "lastSeenAt";
  if (!isText(value["organizationId"])) return "organizationId";
  if (!isTextOrNull(value["podId"])) return "podId";
  if (!isTextOrAbsent(value["apiKeyOwner"])) return "apiKeyOwner";
  if (!isTextOrAbsent(value["currentMode"])) return "currentMode";
  if (value["metadata"] !== undefined) {
    const member = value["metadata"];
    const path = findEnvironmentMetadataMismatch(member);
    if (path !== null) return join("metadata", path);
  }
  if (!isTextOrAbsent(value["userId"])) return "userId";
  return null;
};

/** Whether a value is as in {@link EnvironmentList}. */
export const isEnvironmentList = (value: unknown): value is EnvironmentList =>
  isRecord(value) &&
  isEach(value["connections"], isEnvironment) &&
  isFlag(value["hasNextPage"]);

/** Path of the first member that is not as in {@link EnvironmentList}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findEnvironmentListMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  {
    const member = value["connections"];
    if (!Array.isArray(member)) return "connections";
    for (let index = 0; index < member.length; index++) {
      const item: unknown = member[index];
      const path = findEnvironmentMismatch(item);
      if (path !== null) return join(`connections[${index}]`, path);
    }
  }
  if (!isFlag(value["hasNextPage"])) return "hasNextPage";
  return null;
};

/** Whether a value is as in {@link ListEnvironmentsWireQuery}. */
export const isListEnvironmentsWireQuery = (value: unknown): value is ListEnvironmentsWireQuery =>
  isRecord(value) &&
  (value["after"] === undefined || isTextIdentifier(value["after"])) &&
  (value["limit"] === undefined || isTextListLimit(value["limit"])) &&
  (value["onlineOnly"] === undefined || (value["onlineOnly"] === "true" || value["onlineOnly"] === "false")) &&
  (value["source"] === undefined || (value["source"] === "local" || value["source"] === "remote")) &&
  (value["userId"] === undefined || isTextFrom1To256(value["userId"]));

/** Path of the first member that is not as in {@link ListEnvironmentsWireQuery}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findListEnvironmentsWireQueryMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  if (!(value["after"] === undefined || isTextIdentifier(value["after"]))) return "after";
  if (!(value["limit"] === undefined || isTextListLimit(value["limit"]))) return "limit";
  if (!(value["onlineOnly"] === undefined || (value["onlineOnly"] === "true" || value["onlineOnly"] === "false"))) return "onlineOnly";
  if (!(value["source"] === undefined || (value["source"] === "local" || value["source"] === "remote"))) return "source";
  if (!(value["userId"] === undefined || isTextFrom1To256(value["userId"]))) return "userId";
  return null;
};

const isTextPart = (value: unknown): boolean =>
  isRecord(value) &&
  isText(value["text"]) &&
  (value["type"] === "text");

const findTextPartMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  if (!isText(value["text"])) return "text";
  if (!(value["type"] === "text")) return "type";
  return null;
};

const isToolReturn = (value: unknown): boolean =>
  isRecord(value) &&
  (value["status"] === "success" || value["status"] === "error") &&
  isTextWellFormedFrom1To256(value["tool_call_id"]) &&
  (Array.isArray(value["tool_return"]) ? isEach(value["tool_return"], isTextPart) : isText(value["tool_return"])) &&
  (value["stderr"] === undefined || (value["stderr"] === null || isEach(value["stderr"], isText))) &&
  (value["stdout"] === undefined || (value["stdout"] === null || isEach(value["stdout"], isText))) &&
  (value["type"] === undefined || (value["type"] === "tool"));

const findToolReturnMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  if (!(value["status"] === "success" || value["status"] === "error")) return "status";
  if (!isTextWellFormedFrom1To256(value["tool_call_id"])) return "tool_call_id";
  {
    const member = value["tool_return"];
    if (Array.isArray(member)) {
      if (!Array.isArray(member)) return "tool_return";
      for (let index = 0; index < member.length; index++) {
        const item: unknown = member[index];
        const path = findTextPartMismatch(item);
        if (path !== null) return join(`tool_return[${index}]`, path);
      }
    } else {
      if (!isText(member)) return "tool_return";
    }
  }
  if (value["stderr"] !== undefined) {
    const member = value["stderr"];
    if (member !== null) {
      if (!Array.isArray(member)) return "stderr";
      for (let index = 0; index < member.length; index++) {
        const item: unknown = member[index];
        if (!isText(item)) return `stderr[${index}]`;
      }
    }
  }
  if (value["stdout"] !== undefined) {
    const member = value["stdout"];
    if (member !== null) {
      if (!Array.isArray(member)) return "stdout";
      for (let index = 0; index < member.length; index++) {
        const item: unknown = member[index];
        if (!isText(item)) return `stdout[${index}]`;
      }
    }
  }
  if (!(value["type"] === undefined || (value["type"] === "tool"))) return "type";
  return null;
};

const isApprovalDecision = (value: unknown): boolean =>
  isRecord(value) &&
  isFlag(value["approve"]) &&
  isTextWellFormedFrom1To256(value["tool_call_id"]) &&
  (value["reason"] === undefined || isTextOrNull(value["reason"])) &&
  (value["type"] === undefined || (value["type"] === "approval")) &&
  (value["updated_input"] === undefined || (value["updated_input"] === null || isRecord(value["updated_input"])));

const findApprovalDecisionMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  if (!isFlag(value["approve"])) return "approve";
  if (!isTextWellFormedFrom1To256(value["tool_call_id"])) return "tool_call_id";
  if (!(value["reason"] === undefined || isTextOrNull(value["reason"]))) return "reason";
  if (!(value["type"] === undefined || (value["type"] === "approval"))) return "type";
  if (!(value["updated_input"] === undefined || (value["updated_input"] === null || isRecord(value["updated_input"])))) return "updated_input";
  return null;
};

const isApprovalMessage = (value: unknown): boolean =>
  isRecord(value) &&
  isEach(value["approvals"], (item) => (isMeantAsToolReturn(item) ? isToolReturn(item) : isApprovalDecision(item))) && value["approvals"].length >= 1 &&
  (value["type"] === "approval");

const findApprovalMessageMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  {
    const member = value["approvals"];
    if (!Array.isArray(member) || member.length < 1) return "approvals";
    for (let index = 0; index < member.length; index++) {
      const item: unknown = member[index];
      if (isMeantAsToolReturn(item)) {
        const path = findToolReturnMismatch(item);
        if (path !== null) return join(`approvals[${index}]`, path);
      } else {
        const path = findApprovalDecisionMismatch(item);
        if (path !== null) return join(`approvals[${index}]`, path);
      }
    }
  }
  if (!(value["type"] === "approval")) return "type";
  return null;
};

const isUserMessage = (value: unknown): boolean =>
  isRecord(value) &&
  isTextWellFormedFrom1To256(value["client_message_id"]) &&
  (Array.isArray(value["content"]) ? isEach(value["content"], isTextPart) && value["content"].length >= 1 : isTextFrom1(value["content"])) &&
  (value["role"] === "user") &&
  (value["otid"] === undefined || isTextWellFormedFrom1To256(value["otid"]));

const findUserMessageMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  if (!isTextWellFormedFrom1To256(value["client_message_id"])) return "client_message_id";
  {
    const member = value["content"];
    if (Array.isArray(member)) {
      if (!Array.isArray(member) || member.length < 1) return "content";
      for (let index = 0; index < member.length; index++) {
        const item: unknown = member[index];
        const path = findTextPartMismatch(item);
        if (path !== null) return join(`content[${index}]`, path);
      }
    } else {
      if (!isTextFrom1(member)) return "content";
    }
  }
  if (!(value["role"] === "user")) return "role";
  if (!(value["otid"] === undefined || isTextWellFormedFrom1To256(value["otid"]))) return "otid";
  return null;
};

/** Whether a value is as in {@link SendMessageBody}. */
export const isSendMessageBody = (value: unknown): value is SendMessageBody =>
  isRecord(value) &&
  isEach(value["messages"], (item) => (isMeantAsApproval(item) ? isApprovalMessage(item) : isUserMessage(item))) && value["messages"].length >= 1 &&
  (value["agentId"] === undefined || isTextWellFormedFrom1To256(value["agentId"])) &&
  (value["conversationId"] === undefined || (value["conversationId"] === null || isTextWellFormedTo256(value["conversationId"])));

/** Path of the first member that is not as in {@link SendMessageBody}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findSendMessageBodyMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  {
    const member = value["messages"];
    if (!Array.isArray(member) || member.length < 1) return "messages";
    for (let index = 0; index < member.length; index++) {
      const item: unknown = member[index];
      if (isMeantAsApproval(item)) {
        const path = findApprovalMessageMismatch(item);
        if (path !== null) return join(`messages[${index}]`, path);
      } else {
        const path = findUserMessageMismatch(item);
        if (path !== null) return join(`messages[${index}]`, path);
      }
    }
  }
  if (!(value["agentId"] === undefined || isTextWellFormedFrom1To256(value["agentId"]))) return "agentId";
  if (!(value["conversationId"] === undefined || (value["conversationId"] === null || isTextWellFormedTo256(value["conversationId"])))) return "conversationId";
  return null;
};

/** Whether a value is as in {@link SendMessageResponse}. */
export const isSendMessageResponse = (value: unknown): value is SendMessageResponse =>
  isRecord(value) &&
  isText(value["message"]) &&
  isFlag(value["success"]);

/** Path of the first member that is not as in {@link SendMessageResponse}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findSendMessageResponseMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  if (!isText(value["message"])) return "message";
  if (!isFlag(value["success"])) return "success";
  return null;
};

/** Whether a value is as in {@link RegisterRequest}. */
export const isRegisterRequest = (value: unknown): value is RegisterRequest =>
  isRecord(value) &&
  isTextIdentifier(value["deviceId"]) &&
  isTextFrom1To256Displayable(value["connectionName"]) &&
  (value["listenerInstanceId"] === undefined || isTextIdentifier(value["listenerInstanceId"])) &&
  (value["metadata"] === undefined || isEnvironmentMetadata(value["metadata"]));

/** Path of the first member that is not as in {@link RegisterRequest}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findRegisterRequestMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  if (!isTextIdentifier(value["deviceId"])) return "deviceId";
  if (!isTextFrom1To256Displayable(value["connectionName"])) return "connectionName";
  if (!(value["listenerInstanceId"] === undefined || isTextIdentifier(value["listenerInstanceId"]))) return "listenerInstanceId";
  if (value["metadata"] !== undefined) {
    const member = value["metadata"];
    const path = findEnvironmentMetadataMismatch(member);
    if (path !== null) return join("metadata", path);
  }
  return null;
};

/** Whether a value is as in {@link RegisterResponse}. */
export const isRegisterResponse = (value: unknown): value is RegisterResponse =>
  isRecord(value) &&
  isText(value["connectionId"]) &&
  isText(value["wsUrl"]) &&
  (value["supportsSplitStatusChannels"] === undefined || isFlag(value["supportsSplitStatusChannels"])) &&
  (value["supportsPairedListenerGenerations"] === undefined || isFlag(value["supportsPairedListenerGenerations"]));

/** Path of the first member that is not as in {@link RegisterResponse}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findRegisterResponseMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  if (!isText(value["connectionId"])) return "connectionId";
  if (!isText(value["wsUrl"])) return "wsUrl";
  if (!(value["supportsSplitStatusChannels"] === undefined || isFlag(value["supportsSplitStatusChannels"]))) return "supportsSplitStatusChannels";
  if (!(value["supportsPairedListenerGenerations"] === undefined || isFlag(value["supportsPairedListenerGenerations"]))) return "supportsPairedListenerGenerations";
  return null;
};

const isErrors = (value: unknown): boolean =>
  isRecord(value) &&
  isText(value["member"]) &&
  isText(value["rule"]);

const findErrorsMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  if (!isText(value["member"])) return "member";
  if (!isText(value["rule"])) return "rule";
  return null;
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

/** Path of the first member that is not as in {@link Problem}: `messages[0].role`; `""` for the whole, `null` when all fits. */
export const findProblemMismatch = (value: unknown): string | null => {
  if (!isRecord(value)) return "";
  if (!isText(value["type"])) return "type";
  if (!isText(value["title"])) return "title";
  if (!isNumber(value["status"])) return "status";
  if (!isText(value["detail"])) return "detail";
  if (!isText(value["message"])) return "message";
  if (!isText(value["error"])) return "error";
  if (!isText(value["errorCode"])) return "errorCode";
  if (value["errors"] !== undefined) {
    const member = value["errors"];
    if (!Array.isArray(member)) return "errors";
    for (let index = 0; index < member.length; index++) {
      const item: unknown = member[index];
      const path = findErrorsMismatch(item);
      if (path !== null) return join(`errors[${index}]`, path);
    }
  }
  return null;
};
