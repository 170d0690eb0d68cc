/** What the scale model must show, at sizes that take seconds: nothing grows faster than the work does. */
import { beforeAll, describe, expect, it } from 'vitest';
import { type Played, play, type Scenario } from '../../../bench/scale/scenario.ts';
import { addUse, noUse, type Use } from '../../../bench/scale/use.ts';
import { renderScale, reportOf, runScale } from '../../../bench/scale.ts';

const SCENARIO: Scenario = {
  name: 'small',
  about: 'for tests',
  jobs: 1,
  batchesPerJob: 40,
  requestsPerBatch: 50_000,
  linesPerBatch: 2,
  requestBytes: 2_000,
  answerBytes: 1_500,
  hours: [2, 6],
  retriedShare: 0.25,
  pollMinutes: 15,
};

function useOf(played: Played): Use {
  const sum = noUse();
  for (const use of Object.values(played.use)) addUse(sum, use);
  return sum;
}

const unitsOf = ({ table }: Use): number => table.readUnits + table.writeUnits;

describe('one job of 40 batches, and one of 160', () => {
  let small: Played;
  let large: Played;
  beforeAll(async () => {
    small = await play(SCENARIO);
    large = await play({ ...SCENARIO, batchesPerJob: 160 });
  }, 60_000);

  it('has no item for a request: a few for each batch, however many requests it has', async () => {
    const more = await play({ ...SCENARIO, linesPerBatch: 4 });
    expect(more.items).toBe(small.items);
    expect(useOf(more).table.calls).toBe(useOf(small).table.calls);
    for (const played of [small, large]) expect(played.items / played.batches).toBeLessThan(2.5);
  });

  it('costs DynamoDB as much for each batch', () => {
    const [one, other] = [small, large].map((played) => unitsOf(useOf(played)) / played.batches);
    expect(other! / one!).toBeLessThan(1.15);
    // All there is of it, at OpenAI for 4 hours: of each million requests, a fraction of a cent.
    expect(other!).toBeLessThan(400);
  });

  it('costs collect as much for each batch, and so does all else but the polls', () => {
    for (const step of ['ingest', 'submit', 'collect'] as const) {
      const [one, other] = [small, large].map(
        ({ use, batches }) => (unitsOf(use[step]) + 20 * use[step].bucket.reads) / batches,
      );
      expect(other! / one!, step).toBeLessThan(1.15);
    }
  });

  it('asks OpenAI for each batch as often, polls aside', () => {
    for (const { use, batches } of [small, large]) {
      const { openai } = use.collect;
      expect(openai['read file']! / batches).toBeLessThan(2.01);
      expect(openai['get batch'] ?? 0).toBe(0);
      expect(use.submit.openai).toEqual({ upload: batches, create: batches });
    }
  });
});

describe('a poll', () => {
  it('reads as many pages as there are of live batches, and asks for none alone', async () => {
    const played = await play({ ...SCENARIO, jobs: 6, batchesPerJob: 60, retriedShare: 0 });
    for (const { atOpenAI, use } of played.polls) {
      expect(use.openai['list page'] ?? 0).toBeLessThanOrEqual(Math.ceil(atOpenAI / 100) + 3);
      expect(use.openai['get batch'] ?? 0).toBeLessThanOrEqual(atOpenAI);
      if (atOpenAI === 0) expect(use.openai).toEqual({});
    }
    expect(Math.max(...played.polls.map(({ use }) => use.openai['list page'] ?? 0))).toBe(4);
  }, 60_000);

  it('costs the same in a project that has had 20,000 batches before', async () => {
    const pagesOf = ({ polls }: Played) => polls.map(({ use }) => use.openai['list page'] ?? 0);
    const [young, old] = [await play(SCENARIO), await play({ ...SCENARIO, batchesBefore: 20_000 })];
    const sum = (pages: readonly number[]): number => pages.reduce((total, each) => total + each, 0);
    // The first page of an old project is full: one more is read for what stands at its end.
    expect(sum(pagesOf(old))).toBeLessThanOrEqual(2 * sum(pagesOf(young)));
    expect(Math.max(...pagesOf(old))).toBeLessThanOrEqual(Math.max(...pagesOf(young)) + 1);
  });

  it('writes a batch a bounded number of times, however often it looks', async () => {
    // A twentieth of a batch takes 12 minutes: looking each minute sees no more of it than looking every three.
    const [rarely, often] = [
      await play({ ...SCENARIO, batchesPerJob: 120, pollMinutes: 3 }),
      await play({ ...SCENARIO, batchesPerJob: 120, pollMinutes: 1 }),
    ];
    const writes = ({ use, batches }: Played): number => use.poll.table.writeUnits / batches;
    expect(writes(often)).toBeLessThan(1.5 * writes(rarely));
  }, 60_000);
});

describe('waiting under a quota', () => {
  it('costs each look as much as there is waiting, and collecting nothing', async () => {
    const quota = { ...SCENARIO, batchesAtATime: 10, hours: [1, 2] as const };
    const [short, long] = [await play(quota), await play({ ...quota, batchesPerJob: 120 })];
    expect(long.maxAtOpenAI).toBeLessThanOrEqual(20);
    expect(long.maxWaiting).toBeGreaterThan(2.5 * short.maxWaiting);
    const collecting = ({ use, batches }: Played): number => unitsOf(use.collect) / batches;
    expect(collecting(long) / collecting(short)).toBeLessThan(1.5);
    const looking = ({ polls }: Played): number =>
      Math.max(...polls.map(({ use, waiting, atOpenAI }) => use.table.readUnits / (5 + waiting + atOpenAI)));
    expect(looking(long)).toBeLessThan(1.5 * looking(short));
  }, 60_000);
});

describe('jobs of one request', () => {
  const ONE: Scenario = {
    ...SCENARIO,
    batchesPerJob: 1,
    requestsPerBatch: 1,
    linesPerBatch: 1,
    hours: [0.05, 0.05],
    retriedShare: 0,
    pollMinutes: 5,
    createsPerHour: 1_000_000,
  };

  // The modelled service lists no models: at OpenAI, each poll reads once more for each key when models end. A
  // poll reads once in which routes files wait for their turn.
  it('take at most 64 calls of the table from drop to receipt, with the poll that sees the end', async () => {
    const played = await play(ONE);
    expect(played.polls).toHaveLength(1);
    expect(useOf(played).table.calls).toBeLessThanOrEqual(64);
  });

  it('are finalized once, however long OpenAI takes', async () => {
    for (const hours of [0.05, 2, 20]) {
      const { use } = await play({ ...ONE, jobs: 3, hours: [hours, hours] });
      expect(use.finalize.invocations, `${hours} hours`).toBe(3);
    }
  });

  it('read as much each with many others as with few', async () => {
    const live = { ...ONE, hours: [2, 2] as const };
    const perJob = async (jobs: number): Promise<number> =>
      useOf(await play({ ...live, jobs })).table.readUnits / jobs;
    const [few, many] = [await perJob(20), await perJob(400)];
    expect(many / few).toBeLessThan(1.2);
  }, 60_000);
});

describe('the report', () => {
  it('says what was counted, and its dollars add up', async () => {
    const report = reportOf(await play(SCENARIO));
    expect(report.requests).toBe(2_000_000);
    expect(report.batches).toBeGreaterThanOrEqual(40);
    expect(report.usd).toBeCloseTo(report.costs.reduce((sum, { usd }) => sum + usd, 0));
    expect(report.usdPerMillionRequests).toBeCloseTo(report.usd / 2);
    const internet = report.costs.find(({ what }) => what === 'Internet, to OpenAI')!;
    // Every request once, some again: 2 KB each.
    expect(internet.amount).toBeGreaterThan(4);
    expect(internet.amount).toBeLessThan(5.5);
    const text = renderScale([report]);
    expect(text).toContain('| requests | 2,000,000 |');
    expect(text).toContain('AWS list prices');
  });

  it('plays every scenario that it knows, made smaller', async () => {
    const said: string[] = [];
    const reports = await runScale({ divideBy: 500, say: (message) => said.push(message) });
    expect(reports.map(({ scenario }) => scenario.name)).toEqual([
      'concurrent',
      'quota',
      'live-100',
      'live-10000',
    ]);
    expect(said).toHaveLength(4);
    for (const { requests, batches } of reports.slice(0, 2))
      expect(requests / batches).toBeGreaterThan(10_000);
  }, 60_000);
});
