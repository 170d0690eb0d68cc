/** Results of a route below prefixes of its own: where they go, and that no two inputs ever get one name. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layoutOf } from '../../../src/contract/layout.ts';
import { routeSchema } from '../../../src/contract/route.ts';
import { type Settings, settingsSchema } from '../../../src/contract/settings.ts';
import { publicationName, publishedKeys } from '../../../src/core/files/keys.ts';
import { jobIdOf } from '../../../src/core/model/job-id.ts';
import { routeOf } from '../../../src/core/requests/route.ts';
import { BUCKET } from '../../support/memory-store.ts';
import { chatLine, type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { propertyRuns } from '../../support/property-runs.ts';
import { BATCH_ONLY } from '../../support/routes.ts';

const OWN = {
  output: 'team/answers/',
  errors: 'team/errors/',
  retry: 'team/retry/',
  receipts: 'team/receipts/',
};
const settingsOf = (layout: object | undefined, ofStack = {}): Settings =>
  settingsSchema.parse({
    layout: ofStack,
    routes: [
      { ...BATCH_ONLY, name: 'default', prefix: 'input/' },
      { ...BATCH_ONLY, name: 'team', prefix: 'input/team/', ...(layout === undefined ? {} : { layout }) },
    ],
  });
const team = (layout?: object) =>
  routeSchema.parse({ ...BATCH_ONLY, name: 'team', prefix: 'input/team/', ...(layout && { layout }) });

describe('the layout of a job', () => {
  it("is the stack's, with what its route had when it was recorded", () => {
    const settings = settingsOf({ output: 'mine/' });
    expect(layoutOf(settings, team())).toEqual({ ...settings.layout, output: 'mine/' });
    expect(layoutOf(settings, settings.routes[0]!)).toEqual(settings.layout);
    const both = settingsSchema.parse({
      routes: [
        { ...settings.routes[0]!, layout: { output: 'old/' } },
        { ...settings.routes[1]!, layout: { output: 'new/' } },
      ],
    });
    expect(layoutOf(both, team({ output: 'old/' }))).toMatchObject({ output: 'old/', errors: 'errors/' });
  });

  it('is that of now where the settings no longer have what was recorded: no function may write there any more', () => {
    expect(layoutOf(settingsOf({ output: 'new/' }), team({ output: 'old/' })).output).toBe('new/');
    expect(layoutOf(settingsOf(undefined), team({ output: 'old/' })).output).toBe('output/');
    const isInputNow = settingsSchema.parse({
      layout: { input: 'old/' },
      routes: [{ ...BATCH_ONLY, name: 'team', prefix: 'old/' }],
    });
    expect(layoutOf(isInputNow, team({ output: 'old/' })).output).toBe('output/');
    const isErrorsNow = settingsOf({ errors: 'old/' });
    expect(layoutOf(isErrorsNow, team({ output: 'old/' })).output).toBe('output/');
  });

  it('never gives two inputs a name unless their publication is guarded by one name, and never one that is input', () => {
    const segment = fc.constantFrom('a', 'b', 'out', 'a.jsonl', 'b.json', 'input');
    const key = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => `input/${parts.join('/')}`);
    const own = fc.record(
      {
        output: fc.constantFrom('out/', 'output/', 'output/a/', 'out/a/', 'b/'),
        errors: fc.constantFrom('e/', 'e/a/', 'errors/'),
        receipts: fc.constantFrom('r/', 'out/', 'receipts/'),
      },
      { requiredKeys: [] },
    );
    const runs = propertyRuns(2_000, 400);
    let accepted = 0;
    fc.assert(
      fc.property(own, own, own, key, key, (one, two, three, left, right) => {
        const parsed = settingsSchema.safeParse({
          routes: [
            { ...BATCH_ONLY, name: 'one', prefix: 'input/', layout: one },
            { ...BATCH_ONLY, name: 'two', prefix: 'input/a/', layout: two },
            { ...BATCH_ONLY, name: 'three', prefix: 'input/a/b/', layout: three },
          ],
        });
        if (!parsed.success) return;
        accepted++;
        const settings = parsed.data;
        const namesOf = (of: string) =>
          Object.values(publishedKeys(layoutOf(settings, routeOf(settings, of)!), of));
        const [names, others] = [namesOf(left), namesOf(right)];
        for (const name of names) expect(name.startsWith('input/')).toBe(false);
        if (publicationName(settings.layout, left) === publicationName(settings.layout, right)) return;
        expect(names.filter((name) => others.includes(name))).toEqual([]);
      }),
      { numRuns: runs },
    );
    expect(accepted).toBeGreaterThan(runs / 20);
  });
});

describe('a job of a route with a layout of its own', () => {
  const KEY = 'input/team/a.jsonl';
  async function withPipeline(settings: Settings, use: (p: Pipeline) => Promise<void>): Promise<void> {
    const p = await startPipeline({ settings, twice: true });
    try {
      await use(p);
    } finally {
      await p.stop();
    }
  }
  const NAMES = {
    output: 'team/answers/team/a.jsonl',
    errors: 'team/errors/team/a.jsonl',
    retry: 'team/retry/team/a.jsonl',
    receipt: 'team/receipts/team/a.json',
  };
  const keysIn = async (p: Pipeline, prefix: string): Promise<string[]> => {
    const listed = await p.deps.inputs.listVersions(prefix);
    return [...new Set(listed.versions.map(({ key }) => key))];
  };

  it('has all its results there, named by its receipt and its event, and none anywhere else', async () => {
    await withPipeline(settingsOf(OWN), async (p) => {
      await p.drop(KEY, `${chatLine('a')}\nno json`);
      await p.drop('input/a.jsonl', chatLine('a'));
      await p.run();
      expect((await p.receipt(KEY)).files).toEqual(NAMES);
      const told = p.deps.events.sent.find(({ key }) => key === KEY);
      expect(told).toMatchObject({ route: 'team', stackId: 'stack-1', files: NAMES });
      for (const name of Object.values(NAMES)) expect(await p.deps.objects.head(BUCKET, name)).toBeDefined();
      expect(await keysIn(p, 'output/')).toEqual(['output/a.jsonl']);
      expect(await keysIn(p, 'errors/')).toEqual([]);
    });
  });

  it('keeps it when a deployment moves the route but still has the prefix, and follows the route if not', async () => {
    const settings = settingsOf({ output: 'old/' });
    await withPipeline(settings, async (p) => {
      await p.drop(KEY, chatLine('a'));
      const other = 'input/team/b.jsonl';
      await p.drop(other, chatLine('b'));
      Object.assign(settings, settingsOf({ output: 'new/' }));
      settings.routes[0]!.layout = { output: 'old/' };
      await p.drain();
      const job = await p.deps.jobs.getJob(jobIdOf((await p.deps.objects.head(BUCKET, KEY))!));
      expect(job?.route.layout).toEqual({ output: 'old/' });
      await p.run();
      expect((await p.receipt(KEY)).files.output).toBe('old/team/a.jsonl');
    });
    const moved = settingsOf({ output: 'old/' });
    await withPipeline(moved, async (p) => {
      await p.drop(KEY, chatLine('a'));
      Object.assign(moved, settingsOf({ output: 'new/' }));
      await p.run();
      expect((await p.receipt(KEY)).files.output).toBe('new/team/a.jsonl');
    });
  });

  it('is rejected, and nothing is bought, if the names of its results would be longer than S3 allows', async () => {
    await withPipeline(settingsOf({ output: `${'o'.repeat(200)}/` }), async (p) => {
      const key = `input/team/${'k'.repeat(800)}.jsonl`;
      await p.drop(key, chatLine('a'));
      await p.run();
      const job = await p.deps.jobs.getJob(jobIdOf((await p.deps.objects.head(BUCKET, key))!));
      expect(job).toMatchObject({ state: 'rejected', rejection: { code: 'key_too_long' } });
      expect(await p.emulator.ledger.all()).toEqual([]);
    });
  });
});
