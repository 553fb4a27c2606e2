/**
 * A search of the audit log for people: the latest records first, over the chains of all writers. A send or a control is one record with
 * its outcome, which is written later. Each search reads a bounded number of records and says where the next one continues.
 */
import { isJsonObject, parseJson } from "../lib/json.ts";
import { matchesFilter, outcomeOf } from "./filter.ts";

/** Reads stored records. */
export interface AuditTail {
  /** The chains, the newest first, with the sequence of their last record. */
  writers(): readonly { readonly writer: string; readonly sequence: number }[];
  /** The texts of records of a chain from a sequence downwards. */
  page(
    writer: string,
    sequence: number,
    limit: number,
  ): readonly { readonly sequence: number; readonly text: string }[];
}

/** The records that are wanted. An undefined member restricts nothing. */
export interface AuditQuery {
  readonly limit: number;
  /** Only records before this time, in epoch milliseconds. */
  readonly before: number | undefined;
  readonly key: string | undefined;
  readonly device: string | undefined;
  /** A type of record, or a group such as `send`. */
  readonly event: string | undefined;
  readonly outcome: string | undefined;
}

/** A record that was found. */
export interface FoundRecord {
  readonly writer: string;
  readonly sequence: number;
  readonly time: number;
  readonly type: string;
  readonly action: string | null;
  readonly outcome: string | null;
  readonly keyId: string | null;
  readonly deviceId: string | null;
  /** Everything else that the record says. */
  readonly members: Readonly<Record<string, unknown>>;
}

/** A page of a search. */
export interface FoundPage {
  readonly records: readonly FoundRecord[];
  /** The `before` of the next page; `null`: there is none. */
  readonly cursor: number | null;
}

/** Records that one search reads at most. */
const maxRead = 2_000;
/** Chains that a search looks at: every start and every command that changes something begins one. */
const maxWriters = 1_000;
const pageSize = 100;

interface Line {
  readonly writer: string;
  readonly sequence: number;
  readonly time: number;
  readonly type: string;
  readonly record: Readonly<Record<string, unknown>>;
}

/** Searches the records of a tenant; `tenant` is `null` for those of every tenant. */
export function searchAudit(tail: AuditTail, query: AuditQuery, tenant: string | null): FoundPage {
  const records: FoundRecord[] = [];
  const ends = new Map<string, Line>();
  const settled = new Set<string>();
  let read = 0;
  let last: Line | null = null;
  for (const line of latestFirst(tail, query.before ?? Number.POSITIVE_INFINITY)) {
    // A page ends between two times, since the next one begins with a time.
    if ((records.length >= query.limit || read >= maxRead) && last !== null && line.time < last.time) {
      return { records, cursor: last.time };
    }
    read += 1;
    last = line;
    const found = describe(line, ends, settled);
    if (found === null || (tenant !== null && line.record["tenant"] !== tenant)) continue;
    if (matches(found, query)) records.push(found);
  }
  return { records, cursor: null };
}

function matches(found: FoundRecord, { key, device, event, outcome }: AuditQuery): boolean {
  const filter = { since: undefined, until: undefined, actions: undefined };
  const events = event === undefined ? undefined : [event];
  const isOfDevice = device === undefined || found.deviceId === device;
  const isOfKey = key === undefined || found.keyId === key || isBy(found.members["actor"], key);
  return (
    isOfDevice && isOfKey && matchesFilter(found, { ...filter, keyId: undefined, deviceId: undefined, events, outcome })
  );
}

function isBy(actor: unknown, keyId: string): boolean {
  return isJsonObject(actor) && actor["keyId"] === keyId;
}

/** Describes a record; `null` for one that is a part of another: the end of a send, or the start of a change whose end was found. */
function describe(line: Line, ends: Map<string, Line>, settled: Set<string>): FoundRecord | null {
  const { record, type } = line;
  const id = textOf(record["sendId"] ?? record["controlId"]) ?? "";
  if (type === "send_finished" || type === "control_finished") {
    ends.set(id, line);
    return null;
  }
  const subject = `${type.split("_", 1)[0]} ${textOf(record["keyId"]) ?? ""} ${textOf(record["deviceId"]) ?? ""}`;
  if (/^(?:key|device)_change/.test(type)) {
    if (type.endsWith("_started") && settled.delete(subject)) return null;
    if (!type.endsWith("_started")) settled.add(subject);
  }
  const end = ends.get(id);
  ends.delete(id);
  const { writer: _writer, sequence: _sequence, time: _time, type: _type, act, keyId, deviceId, ...members } = record;
  return {
    writer: line.writer,
    sequence: line.sequence,
    time: line.time,
    type,
    action: textOf(act),
    outcome: end === undefined ? outcomeOf(type, members) : outcomeOf(end.type, end.record),
    keyId: textOf(keyId),
    deviceId: textOf(deviceId),
    members: end === undefined ? members : { ...members, status: end.record["status"], code: end.record["code"] },
  };
}

/** The records of all chains before a time, the latest first. */
function* latestFirst(tail: AuditTail, before: number): Generator<Line> {
  const chains = tail
    .writers()
    .slice(0, maxWriters)
    .map(({ writer, sequence }) => downwards(tail, writer, lastBefore(tail, writer, sequence, before)));
  const heads = chains.map((chain) => chain.next().value ?? null);
  for (;;) {
    let latest = -1;
    for (const [index, head] of heads.entries()) {
      if (head !== null && head.time > (heads[latest]?.time ?? Number.NEGATIVE_INFINITY)) latest = index;
    }
    const line = heads[latest];
    if (line === undefined || line === null) return;
    yield line;
    heads[latest] = chains[latest]?.next().value ?? null;
  }
}

function* downwards(tail: AuditTail, writer: string, from: number): Generator<Line, undefined> {
  for (let sequence = from; sequence > 0; sequence -= pageSize) {
    // Most chains are only compared by their first record here.
    for (const row of tail.page(writer, sequence, pageSize)) yield readLine(writer, row);
  }
  return undefined;
}

/** The last sequence of a chain whose record is before a time. Times of a chain do not decrease, unless its clock was set back. */
function lastBefore(tail: AuditTail, writer: string, sequence: number, before: number): number {
  if (before === Number.POSITIVE_INFINITY) return sequence;
  let [low, high] = [0, sequence];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const [row] = tail.page(writer, middle, 1);
    if (row !== undefined && readLine(writer, row).time < before) low = middle;
    else high = middle - 1;
  }
  return low;
}

function readLine(writer: string, { sequence, text }: { readonly sequence: number; readonly text: string }): Line {
  const value = parseJson(text);
  const record = isJsonObject(value) ? value : {};
  const { time, type } = record;
  return { writer, sequence, time: typeof time === "number" ? time : 0, type: textOf(type) ?? "unreadable", record };
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
