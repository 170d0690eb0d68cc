/**
 * Who owns which prefix, as functions of what `.batchdrop/owners.json` says. The longest prefix that a key begins
 * with decides. Each object has one owner for ever: the stack that owned its key when it was put. So a takeover moves
 * no object from one stack to another, and what each of two stacks reads at different times does not matter.
 */

import { layoutOf, type Places } from '../../contract/layout.ts';
import type { PastOwner, PrefixOwner } from '../../contract/prefix-owners.ts';
import type { Route } from '../../contract/route.ts';

/**
 * How long after it was written a takeover takes effect: longer than S3 takes to write the object, and than clocks of
 * AWS differ, so that a stack that reads the owners after an object was put sees what decides about it.
 */
const HANDOVER_MS = 2 * 60_000;

/** A stack, by its id, which nothing else has, and its name, which people know it by. */
export interface StackIdentity {
  stackId: string;
  stackName: string;
}

/** A stack and what it would own. */
export interface Claimant extends StackIdentity {
  prefixes: readonly string[];
  /** Name of the stack whose prefixes it takes over. Absent: it takes none over. */
  takeOver?: string | undefined;
}

/** Why a prefix is not a stack's own. */
export interface OtherOwner {
  /** What the stack needs. */
  prefix: string;
  /** Whose it is. */
  owner: PrefixOwner | PastOwner;
  /** The current owner, if it decides about what is put from now on. */
  entry: PrefixOwner;
}

/** The prefixes that the jobs of a route are read from and write to, each once; that of the route first. */
export function prefixesOfRoute(places: Places, route: Pick<Route, 'name' | 'prefix' | 'layout'>): string[] {
  const { work, output, errors, retry, receipts } = layoutOf(places, route);
  return [...new Set([route.prefix, work, output, errors, retry, receipts])];
}

/**
 * Claims for a stack what no other stack owns, and what it takes over. What it owned and does not name any more stays
 * its own: jobs may be at work there, and an earlier deployment may come back.
 * @param now epoch milliseconds.
 * @returns all owners then, and those of them that are new.
 */
export function claimFor(
  claimant: Claimant,
  current: readonly PrefixOwner[],
  now: number,
): { owners: PrefixOwner[]; claimed: PrefixOwner[] } {
  let owners = [...current];
  const claimed: PrefixOwner[] = [];
  // The widest first: what lies in it needs no entry of its own, unless it cannot be had.
  for (const prefix of claimant.prefixes.toSorted((one, other) => one.length - other.length)) {
    const entries = entriesFor(claimant, prefix, owners, now);
    claimed.push(...entries);
    const replaced = new Set(entries.map((entry) => entry.prefix));
    owners = [...owners.filter((other) => !replaced.has(other.prefix)), ...entries];
  }
  return { owners, claimed };
}

/**
 * The entries that make a prefix the claimant's own; none if it is, or cannot be. An entry of another stack in it is taken
 * over as it is, with its history: what lies there may have had other owners than what lies beside it.
 */
function entriesFor(
  { stackId, stackName, takeOver }: Claimant,
  prefix: string,
  owners: readonly PrefixOwner[],
  now: number,
): PrefixOwner[] {
  const holder = holderOf(owners, prefix);
  if (holder?.stackId === stackId) return [];
  const within = owners.filter(
    (owner) => owner.prefix.startsWith(prefix) && owner !== holder && owner.stackId !== stackId,
  );
  const others = [holder ?? [], within].flat();
  const mayHave = ({ stackName: name, before = [] }: PrefixOwner) =>
    name === takeOver && !before.some((past) => past.stackId === stackId);
  if (!others.every(mayHave)) return [];
  if (others.length === 0) return [{ prefix, stackId, stackName, since: now }];
  const since = now + HANDOVER_MS;
  const entryOf = (at: string, other?: PrefixOwner): PrefixOwner => ({
    prefix: at,
    stackId,
    stackName,
    since,
    ...(other && { before: historyOf(other, since) }),
  });
  return [entryOf(prefix, holder), ...within.map((other) => entryOf(other.prefix, other))];
}

/**
 * The first prefix that keeps a stack from running an object.
 * @param prefixes what its job needs: see {@link prefixesOfRoute}.
 * @param object its key, and when it was put (epoch milliseconds, as S3 reports).
 * @returns `undefined` if the object is the stack's own to run.
 */
export function findOtherOwner(
  owners: readonly PrefixOwner[],
  stackId: string,
  prefixes: readonly string[],
  { key, lastModified }: { key: string; lastModified: number },
): OtherOwner | undefined {
  for (const prefix of prefixes) {
    const isInput = key.startsWith(prefix);
    const place = isInput ? key : prefix;
    const holder = holderOf(owners, place);
    // A prefix that could not be claimed has no holder, but another one's lies in it.
    const deciding =
      isInput && holder !== undefined
        ? [holder]
        : [holder ?? [], owners.filter((owner) => owner.prefix.startsWith(prefix))].flat();
    for (const entry of deciding) {
      // When an object was put says who runs it. Where its results go, the owner of now may write as well.
      if (!isInput && entry.stackId === stackId) continue;
      const owner = ownerAt(entry, place, lastModified);
      if (owner.stackId !== stackId) return { prefix, owner, entry };
    }
  }
  return undefined;
}

/** The longest prefix that a key or prefix begins with. */
function holderOf(owners: readonly PrefixOwner[], place: string): PrefixOwner | undefined {
  let found: PrefixOwner | undefined;
  for (const owner of owners)
    if (place.startsWith(owner.prefix) && owner.prefix.length > (found?.prefix.length ?? 0)) found = owner;
  return found;
}

/** When a stack claimed the prefix that a key lies in; `undefined` if another one has. */
export function ownedSince(owners: readonly PrefixOwner[], stackId: string, key: string): number | undefined {
  const holder = holderOf(owners, key);
  return holder?.stackId === stackId ? holder.since : undefined;
}

/** Whose a key or prefix was at a time. */
function ownerAt(entry: PrefixOwner, place: string, time: number): PrefixOwner | PastOwner {
  const past = (entry.before ?? []).filter(({ prefix, until }) => time <= until && overlap(prefix, place));
  return past.toSorted((one, other) => one.until - other.until)[0] ?? entry;
}

function historyOf({ prefix, stackId, stackName, before = [] }: PrefixOwner, until: number): PastOwner[] {
  return [...before, { prefix, stackId, stackName, until }];
}

/** Whether one of two begins with the other. */
function overlap(one: string, other: string): boolean {
  return one.startsWith(other) || other.startsWith(one);
}
