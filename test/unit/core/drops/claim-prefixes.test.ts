/** Which stack owns which prefix of a bucket, and whose each object is. */

import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { PrefixOwner } from '../../../../src/contract/prefix-owners.ts';
import { settingsSchema } from '../../../../src/contract/settings.ts';
import { CorruptWorkFileError } from '../../../../src/core/base/errors.ts';
import { claimPrefixes } from '../../../../src/core/drops/claim-prefixes.ts';
import { claimFor, findOtherOwner } from '../../../../src/core/drops/owners.ts';
import { MemoryOwners } from '../../../support/memory/owners.ts';
import { propertyRuns } from '../../../support/property-runs.ts';
import { BATCH_ONLY } from '../../../support/routes.ts';
import { expectListedEvents, noTelemetry } from '../../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const T0 = 1_790_000_000_000;
const HANDOVER_MS = 120_000;

const owner = (stack: string, prefix: string, since = T0): PrefixOwner => ({
  prefix,
  stackId: `id-${stack}`,
  stackName: stack,
  since,
});
const claimant = (stack: string, prefixes: string[], takeOver?: string) => ({
  stackId: `id-${stack}`,
  stackName: stack,
  prefixes,
  takeOver,
});
const namesOf = (owners: readonly PrefixOwner[]) =>
  owners.map(({ prefix, stackName }) => `${stackName}: ${prefix}`).sort();

describe('claiming', () => {
  it('gives a stack what overlaps with nothing of another one, and no entry for what lies in its own', () => {
    const { owners, claimed } = claimFor(
      claimant('b', ['input/x/y/', 'input/x/', 'other/', 'input/a/deep/', 'work/']),
      [owner('a', 'input/a/'), owner('a', 'work/of-a/')],
      T0 + 5,
    );
    expect(namesOf(claimed)).toEqual(['b: input/x/', 'b: other/']);
    expect(claimed.every(({ since, before }) => since === T0 + 5 && before === undefined)).toBe(true);
    expect(owners).toHaveLength(4);
  });

  it('gives the inner prefix where the outer one cannot be had', () => {
    const { claimed } = claimFor(claimant('b', ['input/', 'input/x/']), [owner('a', 'input/a/')], T0);
    expect(namesOf(claimed)).toEqual(['b: input/x/']);
  });

  it('changes nothing for a stack that has what it needs, and keeps what it names no more', () => {
    const current = [owner('a', 'input/'), owner('a', 'work/')];
    expect(claimFor(claimant('a', ['input/x/', 'work/']), current, T0 + 9)).toEqual({
      owners: current,
      claimed: [],
    });
  });

  it('takes over what overlaps with its own prefixes from the stack of that name, and nothing else', () => {
    const current = [owner('a', 'input/a/'), owner('a', 'elsewhere/'), owner('c', 'input/c/')];
    const { owners } = claimFor(claimant('b', ['input/a/x/', 'input/c/'], 'a'), current, T0 + 9);
    expect(namesOf(owners)).toEqual(['a: elsewhere/', 'a: input/a/', 'b: input/a/x/', 'c: input/c/']);
    expect(owners.find(({ stackName }) => stackName === 'b')).toMatchObject({
      since: T0 + 9 + HANDOVER_MS,
      before: [{ prefix: 'input/a/', stackId: 'id-a', stackName: 'a', until: T0 + 9 + HANDOVER_MS }],
    });
  });

  it('takes over from a stack of its own name that was removed and deployed again', () => {
    const old = { ...owner('a', 'input/'), stackId: 'id-removed' };
    expect(claimFor(claimant('a', ['input/']), [old], T0).claimed).toEqual([]);
    expect(namesOf(claimFor(claimant('a', ['input/'], 'a'), [old], T0).owners)).toEqual(['a: input/']);
  });

  it('never takes back what was taken over from it, so that two stacks that name each other take nothing in turn', () => {
    const first = claimFor(claimant('b', ['input/'], 'a'), [owner('a', 'input/')], T0).owners;
    expect(claimFor(claimant('a', ['input/'], 'b'), first, T0 + 1)).toEqual({ owners: first, claimed: [] });
    const second = claimFor(claimant('c', ['input/'], 'b'), first, T0 + 2).owners;
    expect(claimFor(claimant('a', ['input/'], 'c'), second, T0 + 3).claimed).toEqual([]);
    expect(claimFor(claimant('b', ['input/'], 'c'), second, T0 + 3).claimed).toEqual([]);
  });
});

describe('the owner of an object', () => {
  const taken = claimFor(claimant('b', ['input/'], 'a'), [owner('a', 'input/')], T0).owners;
  const isOf = (stack: string, lastModified: number, owners = taken) =>
    findOtherOwner(owners, `id-${stack}`, ['input/', 'work/'], { key: 'input/x', lastModified }) ===
    undefined;

  it('is the stack that owned its key when it was put, not a later one', () => {
    const until = T0 + HANDOVER_MS;
    expect([isOf('a', T0 - 1), isOf('a', until), isOf('a', until + 1)]).toEqual([true, true, false]);
    expect([isOf('b', T0 - 1), isOf('b', until), isOf('b', until + 1)]).toEqual([false, false, true]);
    const again = claimFor(claimant('c', ['input/'], 'b'), taken, T0 + 1_000_000).owners;
    for (const time of [T0, until, until + 1, T0 + 1_000_000 + HANDOVER_MS, T0 + 2_000_000])
      expect(['a', 'b', 'c'].filter((stack) => isOf(stack, time, again))).toHaveLength(1);
  });

  it('stays who it was for what lies beside a part that was taken over', () => {
    const owners = claimFor(claimant('b', ['input/b/'], 'a'), [owner('a', 'input/')], T0).owners;
    const later = { lastModified: T0 + HANDOVER_MS + 1 };
    const isRunBy = (stack: string, prefix: string, key: string) =>
      findOtherOwner(owners, `id-${stack}`, [prefix], { key, ...later }) === undefined;
    expect(isRunBy('a', 'input/', 'input/c/x')).toBe(true);
    expect(isRunBy('a', 'input/', 'input/b/x')).toBe(false);
    expect(isRunBy('b', 'input/b/', 'input/b/x')).toBe(true);
    // Nobody else can have the rest.
    expect(claimFor(claimant('c', ['input/c/']), owners, T0).claimed).toEqual([]);
    // Where results go, a part of another one's is enough to keep the others out.
    const output = ['in/', 'input/'];
    expect(findOtherOwner(owners, 'id-a', output, { key: 'in/x', ...later })).toMatchObject({
      entry: { prefix: 'input/b/' },
    });
    expect(findOtherOwner(owners, 'id-a', output, { key: 'in/x', lastModified: T0 })).toBeUndefined();
  });

  it('stays who it was in a part that had been taken over before the whole was', () => {
    const fromA = claimFor(claimant('b', ['input/b/'], 'a'), [owner('a', 'input/')], T0).owners;
    const allOfA = claimFor(claimant('b', ['input/'], 'a'), fromA, T0 + HANDOVER_MS).owners;
    // At the same instant as the takeover before takes effect, so that both have the same end in the history.
    const owners = claimFor(claimant('c', ['input/'], 'b'), allOfA, T0 + HANDOVER_MS).owners;
    const ownersOf = (key: string, lastModified: number) =>
      ['a', 'b', 'c'].filter(
        (stack) => findOtherOwner(owners, `id-${stack}`, ['input/'], { key, lastModified }) === undefined,
      );
    expect(ownersOf('input/b/x', T0 + HANDOVER_MS)).toEqual(['a']);
    expect(ownersOf('input/b/x', T0 + HANDOVER_MS + 1)).toEqual(['b']);
    expect(ownersOf('input/x', T0 + HANDOVER_MS + 1)).toEqual(['a']);
    expect(ownersOf('input/b/x', T0 + 2 * HANDOVER_MS + 1)).toEqual(['c']);
  });

  it('does not run it where another stack writes its results or its work', () => {
    const owners = [owner('b', 'input/'), owner('a', 'work/')];
    expect(
      findOtherOwner(owners, 'id-b', ['input/', 'work/'], { key: 'input/x', lastModified: T0 }),
    ).toMatchObject({ prefix: 'work/', owner: { stackName: 'a' } });
  });
});

const NAMES = ['a', 'b', 'c'];
const PREFIXES = ['in/', 'in/x/', 'in/x/y/', 'in/z/', 'on/'];

test('whatever stacks claim, take over and are deployed with, no two run one object and each prefix has one owner', () => {
  const step = fc.record({
    stack: fc.constantFrom(...NAMES),
    prefixes: fc.uniqueArray(fc.constantFrom(...PREFIXES), { minLength: 1 }),
    takeOver: fc.option(fc.constantFrom(...NAMES), { nil: undefined }),
    afterMs: fc.integer({ min: 0, max: 2 * HANDOVER_MS }),
    /** Which of the objects that lie there its event or listing brings. */
    sees: fc.array(fc.nat(), { maxLength: 4 }),
    put: fc.option(fc.constantFrom('in/o', 'in/x/o', 'in/x/y/o', 'in/z/o', 'on/o'), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      let owners: PrefixOwner[] = [];
      let now = T0;
      const objects: { key: string; lastModified: number; ranBy: Set<string> }[] = [];
      for (const { stack, prefixes, takeOver, afterMs, sees, put } of steps) {
        now += afterMs;
        // As S3 tells time.
        if (put !== undefined)
          objects.push({ key: put, lastModified: Math.floor(now / 1000) * 1000, ranBy: new Set() });
        owners = claimFor(claimant(stack, prefixes, takeOver), owners, now).owners;
        expect(new Set(owners.map(({ prefix }) => prefix)).size).toBe(owners.length);
        for (const index of objects.length === 0 ? [] : sees) {
          const object = objects[index % objects.length]!;
          const route = prefixes
            .filter((prefix) => object.key.startsWith(prefix))
            .sort((one, other) => other.length - one.length)[0];
          if (route === undefined) continue;
          if (findOtherOwner(owners, `id-${stack}`, [route], object) === undefined) object.ranBy.add(stack);
          expect(object.ranBy.size).toBeLessThanOrEqual(1);
        }
      }
    }),
    { numRuns: propertyRuns(2_000) },
  );
});

describe('claimPrefixes', () => {
  const settings = settingsSchema.parse({
    layout: {},
    routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/', layout: { output: 'mine/' } }],
  });
  const depsOf = (stack: string, owners: MemoryOwners) => ({
    stackId: `id-${stack}`,
    stackName: stack,
    settings,
    owners,
    ambient: { now: () => T0 },
    telemetry: noTelemetry,
  });

  it('claims all that the routes are read from and write to, with one write, and none if they are claimed already', async () => {
    const owners = new MemoryOwners();
    const claimed = await claimPrefixes(depsOf('a', owners));
    expect(namesOf(claimed)).toEqual(
      ['errors/', 'input/', 'mine/', 'receipts/', 'retry/', 'work/'].map((prefix) => `a: ${prefix}`),
    );
    const written = await owners.readOwners();
    expect(await claimPrefixes(depsOf('a', owners))).toEqual(claimed);
    expect(await owners.readOwners()).toEqual(written);
  });

  it('gives each prefix to one of the stacks that start at the same instant', async () => {
    const owners = new MemoryOwners();
    const seen = await Promise.all(['a', 'b', 'c'].map((stack) => claimPrefixes(depsOf(stack, owners))));
    const last = JSON.parse((await owners.readOwners())!.body).owners;
    expect(new Set(last.map(({ stackId }: PrefixOwner) => stackId)).size).toBe(1);
    for (const each of seen) expect(each).toEqual(last);
  });

  it('after a death between reading and writing, or right after writing, claims once', async () => {
    const owners = new MemoryOwners();
    const deps = depsOf('a', owners);
    const dead = {
      readOwners: () => owners.readOwners(),
      writeOwners: () => Promise.reject(new Error('killed')),
    };
    await expect(claimPrefixes({ ...deps, owners: dead })).rejects.toThrow('killed');
    expect(await owners.readOwners()).toBeUndefined();
    const unheard = {
      readOwners: () => owners.readOwners(),
      writeOwners: async (body: string, etag: string | undefined) => {
        await owners.writeOwners(body, etag);
        throw new Error('killed');
      },
    };
    await expect(claimPrefixes({ ...deps, owners: unheard })).rejects.toThrow('killed');
    const written = await owners.readOwners();
    expect(namesOf(await claimPrefixes(deps))).toHaveLength(6);
    expect(await owners.readOwners()).toEqual(written);
  });

  it('fails on an object that does not say who owns what, and leaves it alone', async () => {
    for (const body of ['', '{', '{"v":2,"owners":[]}', '{"v":1,"owners":[{"prefix":"input/"}]}']) {
      const owners = new MemoryOwners();
      await owners.writeOwners(body, undefined);
      await expect(claimPrefixes(depsOf('a', owners))).rejects.toThrow(CorruptWorkFileError);
      expect((await owners.readOwners())?.body).toBe(body);
    }
  });

  it('gives up for now if others change it ten times in a row', async () => {
    const contended = { readOwners: async () => undefined, writeOwners: async () => false };
    const deps = { ...depsOf('a', new MemoryOwners()), owners: contended };
    await expect(claimPrefixes(deps)).rejects.toThrow(/changed by other stacks 10 times/);
  });
});
