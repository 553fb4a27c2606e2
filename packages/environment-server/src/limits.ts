/**
 * The limits and intervals of the environment server that callers and devices can notice; the table in README.md lists them. Rates are in `socket/rates.ts`.
 * What one parser reads is limited in `dialects/`, what a cache or a log keeps in its own file, and what the API allows in the schema package. The host
 * limits the memory of unfinished frames, because only complete frames reach this package.
 */
import { messageRetentionMs } from "@letta-environments/schema";
import type { ApprovalLogLimits } from "./approval-log.ts";
import type { ChangeLimits } from "./change-log.ts";
import type { MessageLogLimits } from "./message-log.ts";

// Sending

/** How long a send waits for the device's acknowledgement, in milliseconds. After that its result is 504 `delivery_unknown`. */
export const acknowledgementTimeoutMs = 10_000;

/**
 * How long a message waits for the device to acknowledge an earlier one of its conversation, in milliseconds; part of {@link
 * acknowledgementTimeoutMs}. A device acknowledges within 50 ms; the rest is for a slow link or a busy device.
 */
export const maxMessageWaitMs = 1_000;

/** How long the host may take to decide again on a request that has waited, in milliseconds. Sends to the same device wait meanwhile. */
export const maxDecisionMs = 10_000;

/**
 * Pause between the opening of a socket and the first message on it, in milliseconds. A device acknowledges an input that
 * arrives before its own open handler has run, but never reports the turn.
 */
export const defaultSettleMs = 300;

/** How long a message id is remembered with its result, a decision with its request, and a replaced connectionId with its device, in milliseconds. */
export const retentionMs: number = messageRetentionMs;

/** Messages that may wait in one conversation. Beyond this, a device silently drops its oldest accepted message. */
export const maxWaitingMessages = 100;

/**
 * Characters of the messages that may wait in one conversation, in JSON. A device repeats all of them when one joins or leaves, and the report must
 * stay short enough to be parsed. A message may be longer if nothing waits after it.
 */
export const maxWaitingLength: number = 256 * 1_024;

/**
 * Characters of the reports in which the queues of a device fill. A device reports a queue twice for each message that joins it, which takes the
 * number of its messages times their characters. The limit is far below the bursts of `parsedRate` and `textRate`.
 */
export const maxQueueReportsLength: number = 8 * 1_048_576;

/** Conversations whose last run on a row is remembered. The one that ran longest ago is forgotten first. */
export const maxRuntimesPerEnvironment = 1_000;

/** Sends to one device that may wait for an acknowledgement at the same time. */
export const maxUnacknowledgedSends = 64;

/** Sends without an acknowledgement, over all devices, for which a late one is still accepted. Above it, the tenant with the most loses its oldest. */
export const maxLateAcknowledgements = 10_000;

/** Pause before an outcome that could not be stored is stored again, in milliseconds. Until then it is kept in memory, within the same limit. */
export const outcomeRetryMs = 1_000;

// Commands to devices

/** How long a command waits for the device's answer, in milliseconds. After that its result is 504 `control_unknown`. */
export const commandTimeoutMs = 10_000;

/**
 * Conversations whose last stop is remembered, so that a message that was accepted before it does not run after it. Above it, the tenant with the most
 * loses its oldest stop.
 */
export const maxKnownStops = 1_000;

/** Commands to one device that may wait for an answer at the same time. */
export const maxWaitingCommands = 16;

/**
 * How long a device that did not answer a question about a conversation, or did not report the mode that a key sets, is not asked again, in
 * milliseconds.
 */
export const silencePauseMs = 30_000;

/** Conversations of one device whose agent is remembered for keys that are limited to agents. The device is asked about any other. */
export const maxKnownAgents = 64;

/** Conversations of one device whose mode is remembered. The device is asked for any other. */
export const maxKnownModes = 64;

/** Modes that were written to a device and may not have taken effect yet. No other change of a mode is written until the device has handled some. */
export const maxUnreportedModes = 64;

/** How long a `runtime_start` that the device does not answer may still set a mode, in milliseconds. */
export const maxStartMs = 60_000;

// Frames of devices

/**
 * Largest frame of a device, in bytes, including the first one: a device that reconnects begins with a status, whose pending requests for permission
 * can contain whole files. The host limits the memory of all unfinished frames, and may read no larger ones (`maxTransportFrameBytes` of the gateway).
 * Above 16 MiB, a device closes its socket itself.
 */
export const maxFrameBytes: number = 16 * 1_024 * 1_024;

/**
 * Longest frame that is parsed, in characters. Parsing can take 50 ms and thirty times the memory of the text for each MiB.
 * The server learns nothing from longer frames, such as a queue with images.
 */
export const maxParsedLength: number = 512 * 1_024;

/** How long a device is refused after it exceeded a limit, in milliseconds. Each new violation doubles it. */
export const minThrottleDelayMs = 1_000;

/** The longest time for which a device is refused, in milliseconds. */
export const maxThrottleDelayMs: number = 5 * 60 * 1_000;

/** How long after the end of a refusal violations still count, in milliseconds. */
export const throttleMemoryMs: number = 10 * 60 * 1_000;

/** How often a device may exceed a rate before it is refused for a time. */
export const freeRateViolations = 1;

/** Devices of one key that may exceed a limit before every device of the key is refused for a time. */
export const freeKeyViolations = 3;

/** Devices and keys whose violations are remembered. The one with the oldest violation is forgotten first. */
export const maxThrottledSubjects = 10_000;

/** How long a device that exceeded a limit may take to close its socket before it is dropped, in milliseconds. */
export const closingTimeoutMs = 1_000;

/** Messages in one queue report. A device holds at most 300 for a conversation. */
export const maxReportedMessages = 1_000;

/** Conversations with a queue that are remembered for one device. The one that was reported longest ago is forgotten first. */
export const maxConversationsPerDevice = 1_000;

/** Memory of the queues of one device, in bytes. A full queue of real ids has about 41 KB. */
export const maxQueueBytesPerDevice: number = 4 * 1_048_576;

/** Memory of the queues of all devices of one key, in bytes. */
export const maxQueueBytesPerKey: number = 16 * 1_048_576;

/** Memory of the queues of all devices together, in bytes. */
export const maxQueueBytes: number = 64 * 1_048_576;

/**
 * How long the queues of a disconnected device are remembered, in milliseconds. A device that cannot reconnect for five
 * minutes registers again, and its new connection starts without them.
 */
export const queueRetentionMs: number = 10 * 60 * 1_000;

// Status of messages

/**
 * Unfinished messages of one row whose device is followed. Above it, the oldest, or one whose state is already unknown, becomes `unknown`. As
 * many policies are remembered for messages whose turn is not known.
 */
export const maxFollowedPerRow = 1_000;

/** The same limit over all rows. Above it, the tenant with the most messages loses one, chosen in the same way. */
export const maxFollowedMessages = 20_000;

/**
 * How long the end of a turn waits for the error that ended it, in milliseconds, on a device that does not report the reasons of ends. The recorded ones
 * report the error at most 7 ms after their loop is idle.
 */
export const lateErrorMs = 100;

/** How long a change of a message's state that is not its end may wait before it is stored, in milliseconds. */
export const messageWriteDelayMs = 1_000;

/**
 * After a kill, the statuses of sends that began up to this long before the last send may be missing, in milliseconds. It covers the wait before a
 * write and the write itself.
 */
export const maxUnsavedMs: number = 3 * messageWriteDelayMs;

/** The same with several servers, in milliseconds: others go on sending while the device of a killed one reconnects. */
export const maxUnsavedElsewhereMs = 60_000;

/** How often a wait for the end of a message reads its status, while another server may have the device, in milliseconds. */
export const otherServerReadMs = 3_000;

/** The last text of the assistant in a turn, in characters (UTF-16 code units). Longer texts are cut. */
export const maxReplyLength: number = 64 * 1_024;

/** The texts of all running turns together, in characters. Above it, the tenant with the most loses its oldest one. */
export const maxRepliesLength: number = 16 * 1_048_576;

/**
 * How many statuses of messages are kept, and for how long. The oldest are removed first, those that have ended before others. The 30 days are also in
 * this package's README.md and, in docs/, in message-status.md, storage.md, console.md and problems/message_not_found.md.
 */
export const messageLogLimits: MessageLogLimits = {
  durationMs: 30 * 24 * 60 * 60 * 1_000,
  maxPerRow: 10_000,
  maxMessages: 500_000,
  maxReplies: 512 * 1_048_576,
};

/** Conversations of a row in which a message id is looked up. */
export const maxMessageConversations = 1_000;

/** Messages with the same id that are read. Two are enough to see that the id is ambiguous, unless a query selects one. */
export const maxSameMessages = 100;

/** Selected messages that one list request examines when it filters by state. Its page may be shorter. */
export const maxListedMessages = 1_000;

/** Stored messages that a list request reads at a time, after its first part. Other work runs before it reads more. */
export const listedMessagesPerTurn = 100;

/** The texts of one page of a list, in characters. A page ends before it exceeds this, but has at least one message. */
export const maxListedLength: number = 1_048_576;

/** Devices without an agents API that are remembered. The oldest entry is dropped, and detected again at its device's next turn. */
export const maxDevicesWithoutApi = 10_000;

// Approvals

/**
 * Requests for permission of one row that are remembered. Any more are not listed, but a decision on them still reaches the device, and a policy
 * still denies their tools.
 */
export const maxApprovalsPerDevice = 100;

/** Requests for permission of the devices of one key that are remembered. To make room, a device that is not connected gives up its oldest. */
export const maxApprovalsPerKey = 1_000;

/** Requests for permission of all devices that are remembered. Tenants share them: the one with the most gives one up. */
export const maxApprovals = 5_000;

/** The arguments of a tool in a request for permission, in characters. Longer arguments are cut. */
export const maxApprovalInputLength: number = 8 * 1_024;

/** How long a change of the pending requests may wait before it is stored, in milliseconds. A decision is stored with its send. */
export const approvalWriteDelayMs = 1_000;

/** Changes of requests for permission that wait for a store. While it fails, the tenant with the most loses its oldest. */
export const maxUnsavedApprovals: number = 4 * maxApprovals;

/** How long a decision in a body waits for its request after the previous one was decided, in milliseconds: a device asks one by one. */
export const approvalRequestWaitMs = 5_000;

/** Pause before the denial of a policy is sent again, if it could not be sent to a connected device, in milliseconds. */
export const denialRetryMs = 10_000;

/** Longest pause, after failures of this server, before the denial of a request that is not remembered is sent again, in milliseconds. */
export const maxDenialRetryMs = 300_000;

/** Denials of one row that wait for the next attempt, for requests that are not remembered. Any more are not repeated. */
export const maxWaitingDenials = 100;

/** How many decisions are kept, and for how long. The oldest are removed first. */
export const approvalLogLimits: ApprovalLogLimits = { durationMs: retentionMs, maxDecisions: 100_000 };

// Streams of events

/** How long events, and the output of turns, are kept, in milliseconds, and how many characters of each. */
export const changeLimits: ChangeLimits = {
  events: { durationMs: 24 * 60 * 60 * 1_000, maxSize: 256 * 1_048_576 },
  output: { durationMs: 60 * 60 * 1_000, maxSize: 64 * 1_048_576 },
};

/**
 * Limits of one page for a reader that comes back: its events, their size in characters, and how many events of all tenants are examined.
 * Other work runs before the next page of the same tenant.
 */
export const changePageLimits = { changes: 200, size: 131_072, examined: 1_000 };

/** Events that wait to be stored, in characters. Any more are lost, and readers receive `gap`. */
export const maxPendingChanges: number = 16 * 1_048_576;

/** Pause before events are stored again after the store has failed, in milliseconds. */
export const changeRetryMs = 1_000;

/** Interval between comments that keep streams open, in milliseconds. */
export const eventHeartbeatMs = 15_000;

/** How long a reader may leave data unread before it is disconnected, in milliseconds. */
export const maxUnreadMs = 15_000;

/** Unread events of one reader in memory, in bytes. With more, it reads them from the store. */
export const maxUnreadBytesPerReader = 262_144;

/** Unread events of all readers with one key, in bytes. */
export const maxUnreadBytesPerKey: number = 8 * 1_048_576;

/** Unread events of all readers, in bytes. */
export const maxUnreadBytes: number = 64 * 1_048_576;

/** Streams of events that one key may have open. */
export const maxStreamsPerKey = 100;

/** Streams of events of all keys. The last quarter is for tenants with less than a quarter. */
export const maxStreams = 2_000;

/** Shortest interval between two events of one environment, in milliseconds. */
export const environmentEventIntervalMs = 1_000;

/** Keys of the last frames of one row, by which repeated frames are recognised. */
export const maxRecentFrameKeys = 256;

/** Rows whose last frames are remembered. */
export const maxRowsWithFrameKeys = 2_000;

// Stored data

/** How long calls wait while another process has locked the store's file, in milliseconds, counted from the first one that found it locked. */
export const maxStoreWaitMs = 2_000;

/** Shortest interval between two writes of one device's status, in milliseconds. */
export const statusWriteIntervalMs = 1_000;

/** Shortest interval between two writes of the server time, unless the wall clock changes, in milliseconds. */
export const timeSaveIntervalMs = 60_000;

/** How often `lastSeenAt` is stored while devices are connected, in milliseconds. */
export const sweepIntervalMs = 30_000;

/** How often old records are removed, in milliseconds. */
export const maintenanceIntervalMs = 30_000;

/** How often the store is checked for changes by other processes while sockets are open, in milliseconds. */
export const removalCheckIntervalMs = 1_000;

/** Environments whose last registration was with one key. */
export const maxEnvironmentsPerKey = 1_000;

/** How long the row of a device that does not connect is kept, in milliseconds. */
export const environmentRetentionMs: number = 90 * 24 * 60 * 60 * 1_000;

/** How long after its start a server begins to remove these rows, in milliseconds. Devices can reconnect before that. */
export const environmentGraceMs: number = 60 * 60 * 1_000;

/** Expired records that are removed at a time, and times of devices that are stored at a time. */
export const maintenanceBatchSize = 200;

/** Sends with an unknown outcome that are compared with the reports of a reconnecting device. */
export const maxUnresolvedMessages = 1_000;

/** Conversations with sends of unknown outcome whose state is requested from a reconnecting device. */
export const maxReconciledConversations = 100;

/** How long the socket of a device waits for the policies of its messages before it opens, in milliseconds. */
export const maxPolicyReadMs = 500;

/** Pause before the unresolved sends of a device are read again after the store failed, in milliseconds. */
export const reconciliationRetryMs = 5_000;

/** Replaced or unused connectionIds that are remembered for one environment. */
export const maxConnectionsPerEnvironment = 100;

/** Largest `metadata` of a registration, in characters of JSON. Real devices send about 700. */
export const maxMetadataLength = 16_384;

// Viewers

/** Viewers of one key. */
export const maxViewersPerKey = 20;

/** Longest frame of a viewer that is read, in characters. A message of the API has at most 1 MiB, too. */
export const maxViewerFrameLength: number = 1_048_576;

/** Largest frame of a viewer that gets a response, in bytes. A larger one closes the socket. */
export const maxViewerFrameBytes: number = 8 * 1_048_576;

/** Bytes that may wait to be sent to a viewer that does not read. */
export const maxViewerWaitingBytes: number = 4 * 1_048_576;

/** Commands and calls of one viewer that may run at once. */
export const maxRunningPerViewer = 64;

/** Requests of one viewer whose responses are awaited. The response to an older one is not shown. */
export const maxOpenRequestsPerViewer = 256;

/** Terminals of one viewer. */
export const maxTerminalsPerViewer = 8;

/** How long viewers keep their sockets while their device is offline, in milliseconds. */
export const viewerGraceMs = 60_000;

/** How often viewers receive a ping, in milliseconds. */
export const viewerPingIntervalMs = 30_000;

/** How often the labels of devices are checked for viewers that depend on them, in milliseconds. */
export const viewerCheckIntervalMs = 1_000;

/** How long a ticket for a viewer's socket is valid, in milliseconds. */
export const ticketLifetimeMs = 60_000;

/** Unused tickets of one key. */
export const maxTicketsPerKey = 100;

/** Unused tickets of all keys. Above it, the tenant with the most loses its oldest. */
export const maxTickets = 10_000;
