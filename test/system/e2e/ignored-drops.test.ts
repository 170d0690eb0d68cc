/** Drops that are not run: each is listed and is an event, on the synthesized stack with its own bus and table. */
import { expect, test } from 'vitest';
import { writeRunning } from '../../../local/stack/running-file.ts';
import { DROP_IGNORED, dropIgnoredSchema } from '../../../src/contract/messages.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { chatLine } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { batchdrop } from '../../support/run-script.ts';

const TEXT = chatLine('a');
const HOURS = 60 * 60_000;
/** The command lists by the day until now, the machine's: what the clock of the stack is moved on to is before that. */
const daysAgo = () => Date.now() - 1.5 * 24 * HOURS;

test('a drop that is not run is listed with its reason and sends an event; one that is run or answered by a receipt is neither', {
  timeout: 240_000,
}, async () => {
  const events: unknown[] = [];
  const { dir, stack, drop, read, poll, bucket } = await startEmulatedStack({
    at: daysAgo(),
    settings: {
      routes: [{ ...BATCH_ONLY, name: 'films', prefix: 'input/films/', mayOverride: ['maxTries'] }],
      inputs: { ignoredDrops: 'event' },
    },
    onEvent: (event) => {
      if (event['detail-type'] === DROP_IGNORED) events.push(event.detail);
    },
  });
  writeRunning(dir, stack());
  await drop('input/other/a.jsonl', TEXT);
  await drop('input/films/_draft.jsonl', TEXT);
  await drop('input/films/a.jsonl', TEXT);
  for (let polls = 0; polls < 24 && (await read('receipts/films/a.json')) === undefined; polls++)
    await poll(HOURS);
  // Options count for the next drop of their file only; the same content again is answered by a receipt of its own.
  await drop('input/films/a.jsonl.options.json', JSON.stringify({ maxTries: 1 }));
  await drop('input/films/b.jsonl', TEXT.replace('"a"', '"b"'));

  const sent = events.map((detail) => dropIgnoredSchema.parse(detail));
  const expected = [
    ['no_route', 'input/other/a.jsonl', undefined],
    ['ignored', 'input/films/_draft.jsonl', 'films'],
    ['late_options', 'input/films/a.jsonl.options.json', 'films'],
  ];
  expect(sent.map(({ why, key, route }) => [why, key, route])).toEqual(expected);
  expect(sent.every((event) => event.bucket === bucket)).toBe(true);
  expect(sent[1]!.message).toBe('ignored: it matches a glob in ignore of route "films"');

  const list = (...options: string[]) =>
    batchdrop('jobs', '--ignored', ...options, '--local', '--state', dir);
  const listed: { why: string; key: string; route?: string }[] = JSON.parse((await list('--json')).stdout);
  const newestFirst = expected.toReversed();
  expect(listed.map(({ why, key, route }) => [why, key, route])).toEqual(newestFirst);
  const ofPrefix = await list('--prefix', 'input/other');
  expect(ofPrefix.status).toBe(0);
  expect(ofPrefix.stdout).toMatch(/^no_route +\S.* ago +input\/other\/a\.jsonl/m);
  expect(ofPrefix.stdout).toContain('ignored: no route has a prefix that the key begins with');
  const ofRoute = await list('--route', 'films');
  expect(ofRoute.stdout).toContain('drop the file again');
  expect(ofRoute.stdout).not.toContain('input/other');
});

test('the same content dropped again is not run, and says so with a receipt and a job, not as an ignored drop', {
  timeout: 240_000,
}, async () => {
  const { dir, stack, drop, read, poll, emulator } = await startEmulatedStack({ at: daysAgo() });
  writeRunning(dir, stack());
  await drop('input/a.jsonl', TEXT);
  for (let polls = 0; polls < 24 && (await read('receipts/a.json')) === undefined; polls++) await poll(HOURS);
  await drop('input/a.jsonl', TEXT);
  await poll(0);
  const jobs = await batchdrop('jobs', '--status', 'duplicate', '--json', '--local', '--state', dir);
  const [duplicate, ...others] = JSON.parse(jobs.stdout);
  expect(others).toEqual([]);
  expect(duplicate).toMatchObject({ key: 'input/a.jsonl', state: 'duplicate' });
  const receipt = JSON.parse((await read(`receipts/a.${duplicate.jobId}.json`))!);
  expect(receipt).toMatchObject({ result: 'duplicate', duplicateOf: { result: 'succeeded' } });
  const ignored = await batchdrop('jobs', '--ignored', '--json', '--local', '--state', dir);
  expect(JSON.parse(ignored.stdout)).toEqual([]);
  expect(await Array.fromAsync(emulator.ledger.executions())).toHaveLength(1);
});
