/** A deployment with jobs in every stage, whose workers have just been killed: what an upgrade may find. */
import type { SettingsInput } from '../../../lib/configuration.ts';
import type { ObservedCall } from '../../../local/stack/options.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { responseLine } from '../../support/background.ts';
import { type EmulatedStackOptions, openEmulatedStack } from '../../support/open-emulated-stack.ts';
import { chatLine } from '../../support/pipeline.ts';

const UNLIMITED = { budget: 'unlimited' as const };

export const SETTINGS: SettingsInput = {
  routes: [
    { ...UNLIMITED, name: 'batch', prefix: 'input/batch/', tiers: ['batch'] },
    { ...UNLIMITED, name: 'flex', prefix: 'input/flex/', tiers: ['flex'] },
    { ...UNLIMITED, name: 'window', prefix: 'input/window/', tiers: ['background-8h'] },
    { name: 'poor', prefix: 'input/poor/', tiers: ['batch'], budget: { perDayUsd: '0.2' } },
  ],
};

const idsOf = (key: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${key.slice('input/'.length)}-${index}`);

/** What was dropped, and which requests each file has. */
export const DROPS: ReadonlyMap<string, readonly string[]> = new Map(
  [
    ['input/batch/collecting.jsonl', 40],
    ['input/batch/finalizing.jsonl', 40],
    ['input/batch/retried.jsonl', 8],
    ['input/batch/running.jsonl', 12],
    ['input/window/created.jsonl', 12],
    ['input/poor/first.jsonl', 30],
    ['input/poor/second.jsonl', 30],
    ['input/batch/ingesting.jsonl', 12],
    ['input/batch/submitting.jsonl', 12],
    ['input/flex/calling.jsonl', 12],
  ].map(([key, count]) => [key as string, idsOf(key as string, count as number)]),
);

function textOf(key: string): string {
  const lineOf = key.startsWith('input/window/') ? responseLine : chatLine;
  return DROPS.get(key)!
    .map((id) => lineOf(id))
    .join('\n');
}

/** The deaths, each of the first worker that comes to it; `nth`: at its nth such call. */
const DEATHS: readonly (Pick<ObservedCall, 'functionName' | 'moment'> & { at: RegExp; nth?: number })[] = [
  { functionName: 'ingest', at: /^PutObject .*plan\.json$/, moment: 'after' },
  { functionName: 'submit', at: /^POST \/v1\/batches/, moment: 'after' },
  { functionName: 'call', at: /^POST \/v1\/chat\/completions/, moment: 'after', nth: 4 },
  { functionName: 'collect', at: /^GET \/v1\/files/, moment: 'after' },
  { functionName: 'finalize', at: /^PutObject receipts\//, moment: 'before' },
];

/** Two requests fail at first, so that a second round runs. */
const FAULTS: EmulatedStackOptions['faults'] = {
  rules: [
    {
      match: { custom_id: '^batch/retried.jsonl-[01]$' },
      per: 'custom_id',
      times: 1,
      effect: { kind: 'line.error', code: 'server_error', message: '' },
    },
  ],
};

/** Starts a stack and brings it there. The caller closes it. @throws if a worker does not come to its death. */
export async function openStackWithLiveJobs() {
  const died = new Set<number>();
  const seen = new Map<number, number>();
  let isArmed = false;
  const dead = Promise.withResolvers<void>();
  const onCall = ({ functionName, operation, resource, moment }: ObservedCall): 'kill' | undefined => {
    if (!isArmed) return undefined;
    const index = DEATHS.findIndex(
      (death) =>
        death.functionName === functionName &&
        death.moment === moment &&
        death.at.test(`${operation} ${resource}`.trim()),
    );
    if (index < 0 || died.has(index)) return undefined;
    seen.set(index, (seen.get(index) ?? 0) + 1);
    if (seen.get(index)! < (DEATHS[index]!.nth ?? 1)) return undefined;
    died.add(index);
    if (died.size === DEATHS.length) dead.resolve();
    return 'kill';
  };
  const stack = await openEmulatedStack({ settings: SETTINGS, faults: FAULTS, onCall });
  const drop = (key: string) => stack.drop(key, textOf(key));
  await drop('input/batch/retried.jsonl');
  for (let hours = 0; hours < 26; hours += 2) await stack.poll(2 * HOUR_MS);
  await drop('input/batch/collecting.jsonl');
  await drop('input/batch/finalizing.jsonl');
  stack.clock.advance(20 * HOUR_MS);
  await drop('input/batch/running.jsonl');
  await drop('input/batch/running.jsonl');
  await drop('input/window/created.jsonl');
  await drop('input/poor/first.jsonl');
  await drop('input/poor/second.jsonl');
  isArmed = true;
  const keys = ['input/batch/ingesting.jsonl', 'input/batch/submitting.jsonl', 'input/flex/calling.jsonl'];
  await Promise.all([...keys.map((key) => stack.put(key, textOf(key))), stack.stack().runSchedule()]);
  const timer = setTimeout(
    () => dead.reject(new Error(`died: ${[...died].map((index) => DEATHS[index]!.functionName)}`)),
    60_000,
  );
  await dead.promise;
  clearTimeout(timer);
  return stack;
}
