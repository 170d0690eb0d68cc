/** Messages that find no room get it once a handler has ended or died, and cost no steps until then. */
import { expect, test } from 'vitest';
import { MINUTE_MS } from '../../../src/contract/time.ts';
import { Faults } from './faults.ts';
import { Queues } from './queues.ts';
import { Random } from './random.ts';
import { drawScenario } from './scenario.ts';
import { Scheduler } from './scheduler.ts';

const MESSAGES = 200;
/** As an upload takes that hangs: most of the life of its worker. */
const RUN_MS = 14 * MINUTE_MS;
/** Longer than a worker lives. */
const TOO_LONG_MS = 20 * MINUTE_MS;

test.each([1, 3])('a backlog is worked off with room for %i', async (concurrency) => {
  const random = new Random('queues');
  const scenario = { ...drawScenario(random.fork('scenario'), []), concurrency, calmAt: 0 };
  const done: number[] = [];
  let deaths = 0;
  const scheduler: Scheduler = new Scheduler(
    {
      note: () => {},
      violation: (text) => {
        throw new Error(text);
      },
      trace: () => {},
      run: async (_invocation, message, gate) => {
        expect(scheduler.countRunning()).toBeLessThanOrEqual(concurrency);
        const isToDie = deaths < MESSAGES / 10;
        if (isToDie) deaths++;
        await gate.sleep(isToDie ? TOO_LONG_MS : RUN_MS);
        done.push(message as number);
      },
      freed: ({ place, handler }) => queues.freed(place, handler),
    },
    scenario,
    { random, faults: new Faults(random.fork('faults'), scenario.weather) },
  );
  const world = { note: () => {}, trace: () => {} };
  const queues = new Queues(scheduler, scenario, random.fork('queues'), world);
  for (let message = 0; message < MESSAGES; message++)
    queues.post('submit', message, { place: 0, isEvent: false, mayBeLost: true });
  while (await scheduler.pick());
  expect(queues.waiting()).toEqual([]);
  expect(done.toSorted((one, other) => one - other)).toEqual(Array.from({ length: MESSAGES }, (_, at) => at));
  expect(scheduler.picks).toBeLessThan(10 * MESSAGES);
});
