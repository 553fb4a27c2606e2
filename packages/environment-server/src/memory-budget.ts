/**
 * Divides memory among tenants, and among the keys of each. An account belongs to one key. When a key exceeds its limit, its accounts are released until
 * the rest fits: expendable ones first, then the largest. When all together exceed theirs, the key with the most gives them up, of the tenant with
 * the most: a tenant gains nothing by many keys.
 */
import type { MemoryOwner } from "@letta-environments/schema";

/** Limits in bytes, for one key and for all together. */
export interface MemoryLimits {
  readonly maxOwnerBytes: number;
  readonly maxTotalBytes: number;
}

/** The bytes of one holder. There are many, so it has no methods. */
export interface MemoryAccount {
  readonly bytes: number;
  /** It is released before the others of its key. */
  isExpendable: boolean;
}

/** Which limit an account was released for. */
export type MemoryLimit = "owner" | "total";

/** Accounts of memory. */
export interface MemoryBudget {
  /** Opens an account. Calls `release` once, after the account was closed, when its holder must free the memory. */
  open(owner: MemoryOwner, release: (limit: MemoryLimit) => void): MemoryAccount;
  /** Sets the number of bytes, and releases accounts when a limit is exceeded. This account may be one of them. */
  resize(account: MemoryAccount, bytes: number): void;
  /** Gives all bytes back. Later calls have no effect. */
  close(account: MemoryAccount): void;
  /** Bytes of all accounts. */
  readonly totalBytes: number;
}

interface Account extends MemoryAccount {
  bytes: number;
  readonly key: Key;
  readonly release: (limit: MemoryLimit) => void;
}

interface Key {
  readonly id: string;
  readonly tenant: Tenant;
  bytes: number;
  readonly accounts: Set<Account>;
}

interface Tenant {
  readonly name: string;
  bytes: number;
  readonly keys: Map<string, Key>;
}

/**
 * Creates a {@link MemoryBudget}.
 *
 * @param releases which account of a key is released first. The oldest one is found at once, however many there are.
 */
export function createMemoryBudget(
  { maxOwnerBytes, maxTotalBytes }: MemoryLimits,
  releases: "largest" | "oldest" = "largest",
): MemoryBudget {
  const tenants = new Map<string, Tenant>();
  let totalBytes = 0;

  function findKey({ tenant: name, keyId: id }: MemoryOwner): Key {
    const tenant = tenants.get(name) ?? { name, bytes: 0, keys: new Map<string, Key>() };
    tenants.set(name, tenant);
    const key = tenant.keys.get(id) ?? { id, tenant, bytes: 0, accounts: new Set<Account>() };
    tenant.keys.set(id, key);
    return key;
  }

  function change(account: Account, bytes: number): void {
    const more = bytes - account.bytes;
    totalBytes += more;
    account.key.tenant.bytes += more;
    account.key.bytes += more;
    account.bytes = bytes;
  }

  function close(account: Account): void {
    const { id, tenant, accounts } = account.key;
    if (!accounts.delete(account)) return;
    change(account, 0);
    if (accounts.size === 0) tenant.keys.delete(id);
    if (tenant.keys.size === 0) tenants.delete(tenant.name);
  }

  function release(accounts: Iterable<Account>, limit: MemoryLimit): void {
    const [oldest = null] = accounts;
    const account = releases === "oldest" ? oldest : findLargest(accounts, comparePriority);
    if (account === null) return;
    close(account);
    account.release(limit);
  }

  function enforce(key: Key): void {
    while (key.bytes > maxOwnerBytes) release(key.accounts, "owner");
    while (totalBytes > maxTotalBytes) {
      const tenant = findLargest(tenants.values());
      release(findLargest(tenant?.keys.values() ?? [])?.accounts ?? [], "total");
    }
  }

  return {
    open(owner, onRelease) {
      const key = findKey(owner);
      const account: Account = { bytes: 0, isExpendable: false, key, release: onRelease };
      key.accounts.add(account);
      return account;
    },
    resize(account: Account, bytes) {
      if (!account.key.accounts.has(account)) return;
      const isMore = bytes > account.bytes;
      change(account, bytes);
      if (isMore) enforce(account.key);
    },
    close,
    get totalBytes() {
      return totalBytes;
    },
  };
}

interface Holder {
  readonly bytes: number;
}

/** Returns the largest holder with bytes, the first of several; `null` when all are empty. */
function findLargest<Held extends Holder>(holders: Iterable<Held>, compare = compareBytes<Held>): Held | null {
  let largest: Held | null = null;
  for (const holder of holders)
    if (holder.bytes > 0 && (largest === null || compare(holder, largest) > 0)) largest = holder;
  return largest;
}

function compareBytes<Held extends Holder>(left: Held, right: Held): number {
  return left.bytes - right.bytes;
}

function comparePriority(left: Account, right: Account): number {
  return Number(left.isExpendable) - Number(right.isExpendable) || compareBytes(left, right);
}
