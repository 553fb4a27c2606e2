/**
 * Divides memory among owners, such as the keys of devices. Each account belongs to one owner. When an owner, or all owners together, exceed a limit,
 * accounts are released until the rest fits: expendable ones first, then the largest. For the common limit, the owner that has just grown gives them up
 * if it has more than an equal share; otherwise the owner with the most memory does.
 */

/** Limits in bytes, for one owner and for all owners together. */
export interface MemoryLimits {
  readonly maxOwnerBytes: number;
  readonly maxTotalBytes: number;
}

/** The bytes of one holder. There are many, so it has no methods. */
export interface MemoryAccount {
  readonly bytes: number;
  /** It is released before the others of its owner. */
  isExpendable: boolean;
}

/** Which limit an account was released for. */
export type MemoryLimit = "owner" | "total";

/** Accounts of memory, divided among their owners. */
export interface MemoryBudget {
  /** Opens an account. Calls `release` once, after the account was closed, when its holder must free the memory. */
  open(owner: string, release: (limit: MemoryLimit) => void): MemoryAccount;
  /** Sets the number of bytes, and releases accounts when a limit is exceeded. This account may be one of them. */
  resize(account: MemoryAccount, bytes: number): void;
  /** Gives all bytes back. Later calls have no effect. */
  close(account: MemoryAccount): void;
  /** Bytes of all accounts. */
  readonly totalBytes: number;
}

interface Account extends MemoryAccount {
  bytes: number;
  readonly owner: Owner;
  readonly release: (limit: MemoryLimit) => void;
}

interface Owner {
  readonly name: string;
  bytes: number;
  readonly accounts: Set<Account>;
}

/** Creates a {@link MemoryBudget}. */
export function createMemoryBudget({ maxOwnerBytes, maxTotalBytes }: MemoryLimits): MemoryBudget {
  const owners = new Map<string, Owner>();
  let totalBytes = 0;

  function change(account: Account, bytes: number): void {
    totalBytes += bytes - account.bytes;
    account.owner.bytes += bytes - account.bytes;
    account.bytes = bytes;
  }

  function close(account: Account): void {
    const { owner } = account;
    if (!owner.accounts.delete(account)) return;
    change(account, 0);
    if (owner.accounts.size === 0) owners.delete(owner.name);
  }

  function release({ accounts }: Owner, limit: MemoryLimit): void {
    const account = findLargest(accounts);
    if (account === null) return;
    close(account);
    account.release(limit);
  }

  /** Returns the owner that resized an account if it has more than an equal share, else the one with the most. */
  function findOwnerToReduce(owner: Owner): Owner {
    if (owner.bytes > maxTotalBytes / owners.size) return owner;
    return [...owners.values()].reduce((left, right) => (left.bytes >= right.bytes ? left : right), owner);
  }

  function enforce(owner: Owner): void {
    while (owner.bytes > maxOwnerBytes) release(owner, "owner");
    while (totalBytes > maxTotalBytes) release(findOwnerToReduce(owner), "total");
  }

  return {
    open(name, onRelease) {
      const owner = owners.get(name) ?? { name, bytes: 0, accounts: new Set<Account>() };
      owners.set(name, owner);
      const account: Account = { bytes: 0, isExpendable: false, owner, release: onRelease };
      owner.accounts.add(account);
      return account;
    },
    resize(account: Account, bytes) {
      if (!account.owner.accounts.has(account)) return;
      const isMore = bytes > account.bytes;
      change(account, bytes);
      if (isMore) enforce(account.owner);
    },
    close,
    get totalBytes() {
      return totalBytes;
    },
  };
}

/** Returns the largest expendable account with bytes, else the largest one; `null` when all are empty. */
function findLargest(accounts: ReadonlySet<Account>): Account | null {
  let largest: Account | null = null;
  for (const account of accounts) {
    if (account.bytes === 0) continue;
    if (largest === null || comparePriority(account, largest) > 0) largest = account;
  }
  return largest;
}

function comparePriority(left: Account, right: Account): number {
  return Number(left.isExpendable) - Number(right.isExpendable) || left.bytes - right.bytes;
}
