/** That a drop which is not run and has no receipt is told of, as far as the settings say. */
import { expect, test } from 'vitest';
import { dropIgnoredSchema } from '../../../../src/contract/messages.ts';
import { settingsSchema } from '../../../../src/contract/settings.ts';
import { ObjectUnreadableError } from '../../../../src/core/base/errors.ts';
import { answerIgnored, type IgnoredDeps, reportIgnored } from '../../../../src/core/drops/ignored.ts';
import { MemoryIgnoredDrops } from '../../../support/memory/ignored-drops.ts';
import { MemoryEvents } from '../../../support/memory/outbox.ts';
import { BUCKET } from '../../../support/memory-store.ts';
import { type SeenEvent, telemetryTo } from '../../../support/telemetry.ts';

const NOW = Date.UTC(2026, 10, 30, 12);
const ROUTE = { name: 'r', prefix: 'input/r/', tiers: ['batch'], budget: 'unlimited', match: ['*.jsonl'] };

/** @param files when they were put, by key, epoch milliseconds. */
function start(inputs: object = {}, route: object = {}, files: Record<string, number> = {}) {
  const seen: SeenEvent[] = [];
  const events = new MemoryEvents();
  const ignoredDrops = new MemoryIgnoredDrops();
  const deps: IgnoredDeps = {
    stackId: 'stack',
    settings: settingsSchema.parse({ inputs, routes: [{ ...ROUTE, ...route }] }),
    objects: {
      head: async (bucket, key) =>
        files[key] === undefined ? undefined : { bucket, key, size: 1, etag: 'e', lastModified: files[key] },
    },
    ignoredDrops,
    events,
    ambient: { now: () => NOW },
    telemetry: telemetryTo((event) => seen.push(event)),
  };
  return {
    deps,
    seen,
    sent: events.ignoredDrops,
    report: (key: string) => reportIgnored(deps, { bucket: BUCKET, key, versionId: 'v1' }),
    listed: () => Array.fromAsync(ignoredDrops.listOn('2026-11-30', '')),
  };
}

const FILE = 'input/r/a.jsonl';
const OPTIONS = `${FILE}.options.json`;

test.each([
  ['input/elsewhere.jsonl', 'no_route', undefined],
  ['input/r/a.csv', 'not_matched', 'r'],
  ['input/r/_a.jsonl', 'ignored', 'r'],
])('%s is logged, and listed once however often it is dropped (%s)', async (key, why, route) => {
  const p = start();
  await p.report(key);
  await p.report(key);
  expect(p.seen).toEqual(Array(2).fill({ name: 'object.ignored', fields: { key, why, route } }));
  expect(await p.listed()).toEqual([{ v: 1, key, why, ...(route === undefined ? {} : { route }), at: NOW }]);
  expect(p.sent).toEqual([]);
});

test('with `event`, each drop has an event that says why', async () => {
  const p = start({ ignoredDrops: 'event' });
  await p.report('input/r/a.csv');
  await p.report('input/r/a.csv');
  expect(p.sent.map((detail) => dropIgnoredSchema.parse(detail))).toEqual(
    Array(2).fill({
      v: 1,
      stackId: 'stack',
      bucket: BUCKET,
      key: 'input/r/a.csv',
      versionId: 'v1',
      why: 'not_matched',
      route: 'r',
      message: 'ignored: it matches no glob in match of route "r"',
    }),
  );
  expect(await p.listed()).toHaveLength(1);
});

test('with `off` for its route, a drop is in the log alone; the setting of a route goes before that of the stack', async () => {
  const p = start({ ignoredDrops: 'event' }, { ignoredDrops: 'off' });
  await p.report('input/r/a.csv');
  expect(p.seen).toHaveLength(1);
  expect(p.sent).toEqual([]);
  expect(await p.listed()).toEqual([]);
  await p.report('input/elsewhere');
  expect(p.sent).toMatchObject([{ why: 'no_route' }]);
});

test('folders, and options that wait for their file or are read with it, need no answer', async () => {
  const p = start({ ignoredDrops: 'event' }, {}, { [FILE]: NOW, [OPTIONS]: NOW });
  await p.report('input/r/folder/');
  await p.report('input/r/b.jsonl.options.json');
  await p.report(OPTIONS);
  expect(p.seen.map(({ fields }) => fields)).toMatchObject([
    { why: 'folder' },
    { why: 'options' },
    { why: 'options' },
  ]);
  expect(p.sent).toEqual([]);
  expect(await p.listed()).toEqual([]);
});

test('options that were put after their file are reported: it runs without them', async () => {
  const p = start({}, {}, { [FILE]: NOW - 1_000, [OPTIONS]: NOW });
  await p.report(OPTIONS);
  expect(p.seen).toMatchObject([{ fields: { key: OPTIONS, why: 'late_options', route: 'r' } }]);
  expect(await p.listed()).toMatchObject([{ key: OPTIONS, why: 'late_options' }]);
});

test('where S3 does not let a file be looked at, nothing is claimed of its options; any other failure is tried again', async () => {
  const p = start();
  p.deps.objects.head = () => Promise.reject(new ObjectUnreadableError('no', FILE, 'AccessDenied'));
  await p.report(OPTIONS);
  expect(p.seen).toMatchObject([{ fields: { why: 'options' } }]);
  p.deps.objects.head = () => Promise.reject(new Error('503'));
  await expect(p.report(OPTIONS)).rejects.toThrow('503');
});

test("another stack's file is listed, and has no second event", async () => {
  const p = start({ ignoredDrops: 'event' });
  await answerIgnored(p.deps, { bucket: BUCKET, key: FILE }, 'prefix_owned', 'r');
  expect(p.sent).toEqual([]);
  expect(await p.listed()).toMatchObject([{ why: 'prefix_owned' }]);
});

test('a worker that dies after the event has its drop listed by the next one, and the event comes again', async () => {
  const p = start({ ignoredDrops: 'event' });
  const note = p.deps.ignoredDrops.note.bind(p.deps.ignoredDrops);
  p.deps.ignoredDrops = { note: () => Promise.reject(new Error('killed')) };
  await expect(p.report('input/r/a.csv')).rejects.toThrow('killed');
  p.deps.ignoredDrops = { note };
  await p.report('input/r/a.csv');
  expect(p.sent).toHaveLength(2);
  expect(await p.listed()).toHaveLength(1);
});
