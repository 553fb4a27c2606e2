/**
 * Searches the audit log for people: latest records first, across the chains of all writers. A send or a control is one record with its
 * outcome, which is logged later. Each search reads a bounded number of records and says where the next one continues.
 */
import { isKeyId } from "../keys/key-format.ts";
import { isJsonObject, parseJsonObject } from "../lib/json.ts";
import { type AuditFacts, factsOf, matchesFilter, outcomeOf, stringOrNull } from "./reader.ts";

/** A chain with records. */
export interface AuditChainTail {
  readonly writer: string;
  /** The sequence of its last record. */
  readonly sequence: number;
  /** The times of its first and last record, in epoch milliseconds. */
  readonly firstTime: number;
  readonly lastTime: number;
}

/** Reads stored records. */
export interface AuditTail {
  /** The chains, the newest first. */
  writers(): readonly AuditChainTail[];
  /** The texts of a chain's records, from a sequence downwards: at most `limit`, and fewer when they are long, but at least one if there is one. */
  page(
    writer: string,
    sequence: number,
    limit: number,
  ): readonly { readonly sequence: number; readonly text: string }[];
}

/** Which records to return. An absent member restricts nothing. */
export interface AuditQuery {
  readonly limit: number;
  /** Only records before this time, in epoch milliseconds. */
  readonly before?: number | undefined;
  readonly key?: string;
  readonly device?: string;
  /** A type of record, or a group such as `send`. */
  readonly event?: string;
  readonly outcome?: string;
}

/** A record that was found. */
export interface FoundRecord extends AuditFacts {
  readonly writer: string;
  readonly sequence: number;
}

/** A page of a search. */
export interface FoundPage {
  readonly records: readonly FoundRecord[];
  /** The `before` of the next page; `null` on the last page. */
  readonly cursor: number | null;
}

/** The most records that one search reads. */
const maxRead = 2_000;
/** The most records after the cursor that a search scans for the ends of sends and controls before it. */
const maxLaterRead = 2_000;
const pageSize = 100;
/** The most records, and characters of records, that a search reads before other work runs. */
const recordsPerTurn = 500;
const charactersPerTurn = 512 * 1024;
/** The characters of records after which a page ends. */
const maxPageLength = 512 * 1024;

/** A record, and its text as it was stored. */
interface Line {
  readonly writer: string;
  readonly sequence: number;
  readonly text: string;
  /** 0 for a damaged record. */
  readonly time: number;
  readonly type: string;
  readonly record: Readonly<Record<string, unknown>>;
}

/** Searches the records of a tenant; `tenant` is `null` for those of every tenant. */
export function searchAudit(...of: Parameters<typeof searchInTurns>): FoundPage {
  const search = searchInTurns(...of);
  for (;;) {
    const { done, value } = search.next();
    if (done === true) return value;
  }
}

/** The same search, which yields wherever other work may run. */
export function* searchInTurns(
  tail: AuditTail,
  query: AuditQuery,
  tenant: string | null,
  maxLength: number = maxPageLength,
): Generator<undefined, FoundPage> {
  const records: FoundRecord[] = [];
  const endsTurn = countTurns();
  let length = 0;
  const finishRecords = new Map<string, Line>();
  const finishedChanges = new Map<string, number>();
  let read = 0;
  let last: Line | null = null;
  const chains = openChains(tail, query.before ?? Number.POSITIVE_INFINITY);
  // A send before the cursor may have ended after it.
  for (const line of readLater(tail, chains)) {
    if (!isOfOtherTenant(line, tenant)) describe(line, finishRecords, finishedChanges);
    if (endsTurn(line)) yield;
  }
  for (const line of latestFirst(tail, chains)) {
    // The cursor is a time, so a page must not split records of the same time.
    const isFull = records.length >= query.limit || read >= maxRead || length >= maxLength;
    if (isFull && last !== null && line.time < last.time) return { records, cursor: last.time };
    if (endsTurn(line)) yield;
    read += 1;
    last = line;
    if (isOfOtherTenant(line, tenant)) continue;
    const found = describe(line, finishRecords, finishedChanges);
    if (found === null || (tenant !== null && line.record["tenant"] !== tenant)) continue;
    if (!matches(found, query)) continue;
    records.push(found);
    length += line.text.length;
  }
  return { records, cursor: null };
}

/** Returns a function that says, of one record after the other, whether a turn ends with it. */
function countTurns(): (line: Line) => boolean {
  let [count, length] = [0, 0];
  return ({ text }) => {
    count += 1;
    length += text.length;
    if (count < recordsPerTurn && length < charactersPerTurn) return false;
    [count, length] = [0, 0];
    return true;
  };
}

/** Whether a record belongs to a tenant other than the searched one. The end of a send names no tenant. */
function isOfOtherTenant({ record }: Line, tenant: string | null): boolean {
  return tenant !== null && "tenant" in record && record["tenant"] !== tenant;
}

/** Whether one of the latest records shows that a gateway key existed: that it was changed, or that it was used. */
export function namesGatewayKey(tail: AuditTail): boolean {
  const { records } = searchAudit(tail, { limit: maxRead }, null, Number.POSITIVE_INFINITY);
  return records.some(({ keyId, type }) => type !== "key_change_abandoned" && keyId !== null && isKeyId(keyId));
}

function matches(found: FoundRecord, { key, device, event, outcome }: AuditQuery): boolean {
  const events = event === undefined ? undefined : [event];
  const isOfKey = key === undefined || found.keyId === key || isActor(found.members["actor"], key);
  return isOfKey && matchesFilter(found, { deviceId: device, events, outcome });
}

function isActor(actor: unknown, keyId: string): boolean {
  return isJsonObject(actor) && actor["keyId"] === keyId;
}

/**
 * Describes a record; `null` for one that belongs to another: the end of a send, or the start of a change whose end was found. `finishedChanges`
 * counts such ends whose start was not found yet.
 */
function describe(
  line: Line,
  finishRecords: Map<string, Line>,
  finishedChanges: Map<string, number>,
): FoundRecord | null {
  const { record, type } = line;
  const id = stringOrNull(record["sendId"] ?? record["controlId"]) ?? "";
  if (type === "send_finished" || type === "control_finished") {
    finishRecords.set(id, line);
    return null;
  }
  if (/^(?:key|device)_change/.test(type)) {
    const change = changeOf(line);
    const count = finishedChanges.get(change) ?? 0;
    const isStart = type.endsWith("_started");
    finishedChanges.set(change, isStart ? Math.max(0, count - 1) : count + 1);
    if (isStart && count > 0) return null;
  }
  const end = finishRecords.get(id);
  finishRecords.delete(id);
  const found = { writer: line.writer, sequence: line.sequence, ...factsOf(record), type };
  if (end === undefined) return found;
  const members = { ...found.members, status: end.record["status"], code: end.record["code"] };
  return { ...found, outcome: outcomeOf(end.type, end.record), members };
}

/**
 * Identifies a change by the members that its start and its end have in common. Both are in the chain of the process that makes the change. For a
 * change of a key, only the end names the tenant.
 */
function changeOf({ writer, type, record }: Line): string {
  const { actor, keyId, tenant, deviceId, environmentId, act } = record;
  return JSON.stringify([
    writer,
    actor,
    ...(type.startsWith("key_") ? [keyId] : [tenant, deviceId, environmentId, act]),
  ]);
}

/** A record in the order of all records. A damaged one has the time of the record after it as its `order`. */
interface OrderedLine extends Line {
  readonly order: number;
}

/** A chain, and the sequence from which it is read downwards. */
interface OpenedChain extends AuditChainTail {
  readonly from: number;
}

/** Returns the chains with records before a time, in the order of their last records. */
export function openChains(tail: AuditTail, before: number): readonly OpenedChain[] {
  return tail
    .writers()
    .filter(({ firstTime }) => firstTime < before)
    .toSorted((one, other) => other.lastTime - one.lastTime)
    .map((chain) => ({ ...chain, from: chain.lastTime < before ? chain.sequence : lastBefore(tail, chain, before) }));
}

/** The first records of chains that follow those from which the chains are read, the latest of each chain first. */
function* readLater(tail: AuditTail, chains: readonly OpenedChain[]): Generator<Line, undefined> {
  const continued = chains.filter(({ sequence, from }) => from < sequence);
  const limit = Math.ceil(maxLaterRead / Math.max(1, continued.length));
  for (const { writer, sequence, from } of continued) {
    let next = from + Math.min(limit, sequence - from);
    while (next > from) {
      const rows = tail.page(writer, next, Math.min(pageSize, next - from));
      for (const row of rows) yield readLine(writer, row);
      next = (rows.at(-1)?.sequence ?? 0) - 1;
    }
  }
}

/** The records of chains, the latest first. A chain is read only once its last record is next, since most chains cover other times. */
export function* latestFirst(tail: AuditTail, chains: readonly OpenedChain[]): Generator<OrderedLine> {
  const open: { head: OrderedLine; readonly rest: Generator<OrderedLine, undefined> }[] = [];
  let next = 0;
  for (;;) {
    let latest = open[0];
    for (const chain of open) if (latest !== undefined && chain.head.order > latest.head.order) latest = chain;
    const waiting = chains[next];
    if (waiting !== undefined && (latest === undefined || waiting.lastTime >= latest.head.order)) {
      next += 1;
      const rest = readBackwards(tail, waiting);
      const head = rest.next().value;
      if (head !== undefined) open.push({ head, rest });
      continue;
    }
    if (latest === undefined) return;
    yield latest.head;
    const head = latest.rest.next().value;
    if (head === undefined) open.splice(open.indexOf(latest), 1);
    else latest.head = head;
  }
}

function* readBackwards(tail: AuditTail, { writer, from, lastTime }: OpenedChain): Generator<OrderedLine, undefined> {
  let order = lastTime;
  // For many chains, only the first record is compared.
  for (let [sequence, size] = [from, 1]; sequence > 0; size = Math.min(pageSize, 10 * size)) {
    const rows = tail.page(writer, sequence, size);
    for (const row of rows) {
      const line = readLine(writer, row);
      order = line.time || order;
      yield { ...line, order };
    }
    const last = rows.at(-1);
    if (last === undefined) return undefined;
    sequence = last.sequence - 1;
  }
  return undefined;
}

/** The last sequence of a chain whose record is before a time. Times of a chain do not decrease, unless its clock was set back. */
function lastBefore(tail: AuditTail, { writer, sequence }: AuditChainTail, before: number): number {
  let [low, high] = [0, sequence];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const [row] = tail.page(writer, middle, 1);
    // Records that were dropped are older than those that remain.
    if (row === undefined || readLine(writer, row).time < before) low = middle;
    else high = middle - 1;
  }
  return low;
}

function readLine(writer: string, { sequence, text }: { readonly sequence: number; readonly text: string }): Line {
  const record = parseJsonObject(text) ?? {};
  const { time, type } = record;
  return {
    writer,
    sequence,
    text,
    time: typeof time === "number" ? time : 0,
    type: stringOrNull(type) ?? "unreadable",
    record,
  };
}
