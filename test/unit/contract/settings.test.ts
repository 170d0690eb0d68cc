import { describe, expect, it } from 'vitest';
import { readDuration } from '../../../src/contract/durations.ts';
import { layoutSchema } from '../../../src/contract/layout.ts';
import { routeSchema } from '../../../src/contract/route.ts';
import { apiKeyNamesOf, defaultSettings, settingsSchema } from '../../../src/contract/settings.ts';
import { pricesOf } from '../../../src/core/pricing/price-file.ts';
import { OPENAI_PRICES } from '../../../src/providers/openai/prices/table.ts';
import { BATCH_ONLY } from '../../support/routes.ts';

const route = (changes: Record<string, unknown> = {}) => ({
  ...BATCH_ONLY,
  name: 'r',
  prefix: 'input/',
  ...changes,
});
const problemsOf = (settings: unknown): string[] => {
  const result = settingsSchema.safeParse(settings);
  return result.success
    ? []
    : result.error.issues.map(({ message, path }) => `${path.join('.')}: ${message}`);
};

describe('a duration', () => {
  it.each([
    ['90m', 5_400_000],
    ['24h', 86_400_000],
    ['2d', 172_800_000],
    ['1.5h', undefined],
    ['-1h', undefined],
    ['', undefined],
  ])('%j is %j ms', (text, ms) => {
    expect(readDuration(text)).toBe(ms);
  });
});

describe('settings', () => {
  it('leave .batchdrop/ to the object that says which stack owns which prefix', () => {
    const routes = [route()];
    expect(problemsOf({ layout: { work: '.batchdrop/' }, routes }).join()).toMatch(
      /^layout\.work: "\.batchdrop\/" is where stacks note which of them owns which prefix/,
    );
    const inside = route({ prefix: '.batchdrop/input/' });
    expect(problemsOf({ layout: { input: '.batchdrop/input/' }, routes: [inside] })).not.toEqual([]);
    expect(problemsOf({ layout: { work: '.batchdrop-work/' }, routes })).toEqual([]);
  });

  it.each([
    ['batchdrop', true],
    [`A${'-9'.repeat(63)}z`, true],
    ['9lives', false],
    ['arn:aws:cloudformation:eu-west-1:123456789012:stack/batchdrop/1', false],
    ['', false],
    [`A${'9'.repeat(128)}`, false],
  ])('take over from the stack named %j: %j', (takeOver, isValid) => {
    expect(problemsOf({ routes: [route()], takeOver })).toEqual(
      isValid ? [] : ['takeOver: takeOver is the name of a CloudFormation stack, such as "batchdrop"'],
    );
  });

  it('are one route over input/ by default', () => {
    const { layout, routes } = defaultSettings();
    expect(layout).toEqual({
      input: 'input/',
      output: 'output/',
      errors: 'errors/',
      retry: 'retry/',
      receipts: 'receipts/',
      work: 'work/',
    });
    expect(routes).toHaveLength(1);
    expect(routes[0]).toMatchObject({
      ...BATCH_ONLY,
      name: 'default',
      prefix: 'input/',
      match: ['**'],
      onInvalid: 'quarantine',
      maxTries: 3,
    });
  });

  it('survive the way through an environment variable', () => {
    const settings = settingsSchema.parse({
      layout: { input: 'in/' },
      routes: [
        route({ prefix: 'in/' }),
        route({ ...BATCH_ONLY, name: 's', prefix: 'in/x/', onInvalid: 'reject' }),
      ],
    });
    expect(settingsSchema.parse(JSON.parse(JSON.stringify(settings)))).toEqual(settings);
  });

  it('are not shared: changing the defaults of one deployment leaves the next alone', () => {
    defaultSettings().routes[0]!.match.push('x');
    expect(defaultSettings().routes[0]!.match).toEqual(['**']);
  });

  it.each<[string, Record<string, string>]>([
    ['two the same', { output: 'out/', errors: 'out/' }],
    ['output inside input', { output: 'input/out/' }],
    ['input inside output', { input: 'output/in/' }],
    ['work inside input', { work: 'input/work/' }],
    ['receipts the same as input', { receipts: 'input/' }],
    ['retry inside errors', { retry: 'errors/retry/' }],
  ])('fail when prefixes overlap: %s', (_what, layout) => {
    const input = layout.input ?? 'input/';
    expect(problemsOf({ layout, routes: [route({ prefix: input })] }).join()).toMatch(/overlap/);
  });

  it('name every pair that overlaps', () => {
    const problems = problemsOf({
      layout: { output: 'x/', errors: 'x/y/', retry: 'x/z/' },
      routes: [route()],
    });
    expect(problems.filter((problem) => problem.includes('overlap'))).toHaveLength(2);
  });

  it.each<[string, Record<string, string>, RegExp]>([
    [
      'written below input',
      { output: 'input/out/' },
      /input \("input\/"\) and output of route "s" .* overlap: what/,
    ],
    ['written below work', { receipts: 'work/x/' }, /work .* and receipts of route "s"/],
    ['around work', { retry: 'w/' }, /work \("w\/work\/"\) and retry of route "s" \("w\/"\) overlap/],
    ['of another area of the layout', { output: 'errors/' }, /errors .* and output of route "s"/],
    [
      'of another area of another route',
      { errors: 'mine/' },
      /output of route "r" \("mine\/"\) and errors of route "s"/,
    ],
    [
      'of another area of its own',
      { output: 'x/', errors: 'x/y/' },
      /output of route "s" .* errors of route "s"/,
    ],
    [
      'nested in the same area',
      { output: 'output/s/' },
      /output .* and output of route "s" .*: two files could get one name/,
    ],
    [
      'nested in that of another route',
      { output: 'mine/s/' },
      /output of route "r" .* output of route "s" .*apart/,
    ],
    ['with a star', { output: 'o*/' }, /routes\.1\.layout\.output: .* has no "\*"/],
    ['that is no prefix', { output: 'out' }, /routes\.1\.layout\.output: a prefix is/],
    [
      'of what a route cannot move',
      { work: 'w2/' },
      /"work" is not known here; the names are output, errors, retry, receipts/,
    ],
  ])('fail for a prefix of a route %s', (_what, layout, message) => {
    const routes = [route({ layout: { output: 'mine/' } }), route({ name: 's', prefix: 'input/s/', layout })];
    const work = layout.retry === 'w/' ? 'w/work/' : 'work/';
    expect(problemsOf({ layout: { work }, routes }).join('\n')).toMatch(message);
  });

  it.each([
    'done',
    'arn:aws:lambda:us-east-1:123456789012:function:f',
    'arn:aws:sqs:us-east-1:123:done',
    'arn:aws:sqs:us-east-1:123456789012:done.fifo',
    'arn:aws:sns:us-east-1:123456789012:done:subscription',
    'arn:aws:events:us-east-1:123456789012:event-bus/default',
    'arn:aws:events:us-east-1:123456789012:rule/r',
    'arn:aws:sqs:us-east-1:123456789012:done\n',
  ])('fail for notify %j, which is no target', (notify) => {
    expect(problemsOf({ routes: [route({ notify })] })).toEqual([
      expect.stringMatching(/^routes\.0\.notify: notify is the ARN of .*; read "/),
    ]);
  });

  it('take topics, queues and buses to be notified, all in one account and region', () => {
    const at = (arn: string, name: string) => route({ name, prefix: `input/${name}/`, notify: arn });
    const queue = 'arn:aws:sqs:eu-west-1:123456789012:a-b_c';
    const routes = [
      at(queue, 'a'),
      at('arn:aws:sns:eu-west-1:123456789012:t', 'b'),
      at('arn:aws:events:eu-west-1:123456789012:event-bus/x/y.z', 'c'),
    ];
    expect(problemsOf({ routes })).toEqual([]);
    expect(problemsOf({ routes: [...routes, at(queue.replace('eu-', 'us-'), 'd')] }).join()).toMatch(
      /route "a" notifies account 123456789012 in eu-west-1 and route "d" account 123456789012 in us-west-1/,
    );
  });

  it('accept routes that share prefixes for their results, area by area', () => {
    const layout = { output: 'mine/out/', errors: 'mine/errors/', receipts: 'receipts/' };
    const routes = [
      route({ layout }),
      route({ name: 's', prefix: 'input/s/', layout: { output: 'mine/out/' } }),
    ];
    expect(problemsOf({ routes })).toEqual([]);
  });

  it('accept prefixes that only begin alike', () => {
    expect(
      problemsOf({ layout: { output: 'input-results/', errors: 'input2/' }, routes: [route()] }),
    ).toEqual([]);
    expect(
      problemsOf({
        layout: { input: 'b/in/', output: 'b/out/', work: 'b/w/' },
        routes: [route({ prefix: 'b/in/' })],
      }),
    ).toEqual([]);
  });

  it.each(['', '/', 'input', '/input/', 'in put/', 'ü/', 'a\n/', 'in"put/', 'a?/', 'a#b/', 'a%20/', '*\\/'])(
    'fail for the prefix %j',
    (prefix) => {
      expect(layoutSchema.safeParse({ input: prefix }).success).toBe(false);
    },
  );

  it.each<[string, unknown, RegExp]>([
    ['no routes', [], /routes/],
    ['a route outside the input prefix', [route({ prefix: 'output/x/' })], /not inside/],
    ['a route beside the input prefix', [route({ prefix: 'input2/' })], /not inside/],
    ['two routes of one name', [route(), route({ prefix: 'input/x/' })], /two routes are named "r"/],
    ['two routes of one prefix', [route(), route({ name: 's' })], /two routes have the prefix "input\/"/],
    ['a name in capitals', [route({ name: 'R' })], /route name/],
    ['an empty name', [route({ name: '' })], /route name/],
    ['a name of 41 characters', [route({ name: 'x'.repeat(41) })], /route name/],
    ['no globs', [route({ match: [] })], /match/],
    ['an empty glob', [route({ match: [''] })], /match/],
    ['an unknown policy', [route({ onInvalid: 'ignore' })], /onInvalid/],
    ['no tries', [route({ maxTries: 0 })], /maxTries/],
    ['eleven tries', [route({ maxTries: 11 })], /maxTries/],
    ['half a round', [route({ maxTries: 1.5 })], /maxTries/],
    ['no tiers', [route({ tiers: [] })], /tiers/],
    ['tiers left out', [route({ tiers: undefined })], /tiers/],
    ['an unknown tier', [route({ tiers: ['priority'] })], /tiers/],
    [
      'tiers in the wrong order',
      [route({ tiers: ['flex', 'batch'], deadline: '2h' })],
      /in the order batch, flex, background-8h, background-2h, standard/,
    ],
    ['a tier twice', [route({ tiers: ['flex', 'flex'], deadline: '2h' })], /named once each/],
    [
      'several tiers without a deadline',
      [route({ tiers: ['batch', 'flex'] })],
      /several tiers need a deadline/,
    ],
    ['a deadline without a unit', [route({ deadline: '24' })], /such as "90m", "24h" or "2d".*read "24"/],
    [
      'a key for prompts of another kind',
      [route({ promptCacheKey: 'always' })],
      /"by_prefix", or left out.*"always"/,
    ],
    ['a completion window in minutes', [route({ completionWindow: '90m' })], /hours or days.*read "90m"/],
    ['a completion window of 8 days', [route({ completionWindow: '8d' })], /"1h" to "7d".*read "8d"/],
    ['an unknown preflight', [route({ preflight: 'refuse' })], /preflight/],
    ['a deadline of nothing', [route({ deadline: '0h' })], /read "0h"/],
    ['a deadline of 15 days', [route({ deadline: '15d' })], /14 days at most/],
    ['no budget', [route({ budget: undefined })], /budget is .*read none/],
    ['a budget of zero', [route({ budget: { perJobUsd: 0 } })], /above 0/],
    ['a negative budget', [route({ budget: { perDayUsd: '-3' } })], /above 0 .*read "-3"/],
    ['a budget that limits nothing', [route({ budget: {} })], /or both.*read {}/],
    [
      'a day in a time zone that there is not',
      [route({ budget: { perDayUsd: '3', timeZone: 'Europe/Hamburg' } })],
      /a time zone is one of the IANA database, such as "Europe\/Berlin" or "UTC"; read "Europe\/Hamburg"/,
    ],
    [
      'a day at an offset, which clocks that change do not have',
      [route({ budget: { perDayUsd: '3', timeZone: '+01:00' } })],
      /time zone is one of the IANA database.*read "\+01:00"/,
    ],
    [
      'a time zone without a budget a day',
      [route({ budget: { perJobUsd: '3', timeZone: 'Europe/Berlin' } })],
      /"timeZone" says when the day of "perDayUsd" begins/,
    ],
    ['a budget in words', [route({ budget: 'plenty' })], /read "plenty"/],
    ['an override of what is not a setting', [route({ mayOverride: ['model'] })], /mayOverride/],
    ['a default method that is not POST', [route({ defaults: { method: 'GET' } })], /a method is "POST"/],
    ['a default url of another service', [route({ defaults: { url: 'https://x' } })], /read "https:\/\/x"/],
    [
      'a default that JSON has read as another number',
      [route({ defaults: { body: { seed: JSON.parse('9007199254740993') } } })],
      /numbers in the defaults of a body are within ±9007199254740991/,
    ],
    [
      'a default that no record of a job holds, deep inside',
      [route({ defaults: { body: { text: [{ top_p: 1e-200 }] } } })],
      /not nearer to it than 1e-130/,
    ],
    [
      'a default that is nested too deeply',
      [route({ defaults: { body: JSON.parse(`${'{"a":'.repeat(29)}1${'}'.repeat(29)}`) } })],
      /at most 28 levels deep/,
    ],
    ['a default of what no route fills in', [route({ defaults: { custom_id: 'a' } })], /custom_id/],
    ['a key in place of its name', [route({ apiKey: 'sk-Proj_1' })], /the name of an API key .*secret/],
    ['an empty name of an API key', [route({ apiKey: '' })], /the name of an API key/],
    [
      'a name of an API key with 41 characters',
      [route({ apiKey: 'x'.repeat(41) })],
      /the name of an API key/,
    ],
    [
      'two API keys of which no two outputs could be made',
      [route({ apiKey: 'a-1' }), route({ name: 's', prefix: 'input/s/', apiKey: 'a1' })],
      /the API keys "a-1" and "a1" differ by "-" alone/,
    ],
    ['a field that is misspelt', [route({ onInvald: 'reject' })], /onInvald/],
  ])('fail for %s', (_what, routes, message) => {
    expect(problemsOf({ layout: {}, routes }).join('\n')).toMatch(message);
  });

  it('name each API key once, the own one of the stack first', () => {
    const { routes } = settingsSchema.parse({
      routes: [
        route({ apiKey: 'team-a' }),
        route({ name: 's', prefix: 'input/s/' }),
        route({ name: 't', prefix: 'input/t/', apiKey: 'default' }),
        route({ name: 'u', prefix: 'input/u/', apiKey: 'team-a' }),
      ],
    });
    expect(apiKeyNamesOf({ routes })).toEqual(['default', 'team-a']);
  });

  it('fail for fields that are not known, at every level', () => {
    expect(problemsOf({ layout: {}, routes: [route()], budgets: 5 })).not.toEqual([]);
    expect(problemsOf({ layout: { outputs: 'x/' }, routes: [route()] })).not.toEqual([]);
  });

  it('keep batch ids sortable: at most ten rounds, numbered 0 to 9', () => {
    expect(routeSchema.parse(route({ maxTries: 10 })).maxTries).toBe(10);
  });
});

describe('data residency in the settings', () => {
  const route = { ...BATCH_ONLY, name: 'default', prefix: 'input/' };
  const parse = (dataResidency: object) => settingsSchema.parse({ routes: [route], dataResidency });

  it('is said for the API keys that there are', () => {
    expect(settingsSchema.parse({ routes: [route] }).dataResidency).toEqual({});
    expect(parse({ default: 'eu' }).dataResidency).toEqual({ default: 'eu' });
  });

  it.each<[string, object, RegExp]>([
    [
      'a key that no route has',
      { search: 'eu' },
      /API key \\"search\\", which no route is sent with; the API keys are default/,
    ],
    ['a region that there is not', { default: 'mars' }, /a region is one of \\"us\\", \\"eu\\"/],
    ['global, which is what it is without', { default: 'global' }, /a region is one of/],
  ])('is refused for %s', (_what, residency, message) => {
    expect(() => parse(residency)).toThrow(message);
  });
});

describe('prices in the settings', () => {
  const route = { ...BATCH_ONLY, name: 'default', prefix: 'input/' };

  it('are kept as they were written, so that settings can be read again', () => {
    const price = { model: 'ours', tier: 'batch', input: '0.125', output: 2.5, from: '2026-11-01' };
    const settings = settingsSchema.parse({ routes: [route], prices: { rows: [price] } });
    expect(settings.prices).toEqual({ rows: [{ ...price, context: 'any' }] });
    expect(settingsSchema.parse(JSON.parse(JSON.stringify(settings)))).toEqual(settings);
  });

  it('take precedence over the table, with the uplift where it applies', () => {
    const at = Date.parse('2026-11-10');
    const ask = (settings: object) =>
      pricesOf(OPENAI_PRICES, settingsSchema.parse({ routes: [route], ...settings })).ratesOf({
        model: 'gpt-5.5',
        tier: 'batch',
        at,
        isLong: false,
      });
    const row = { model: 'gpt-5.5', tier: 'batch', input: '1', output: '2' };
    expect(ask({})).toMatchObject({ input: 2_500_000 });
    expect(ask({ dataResidency: { default: 'eu' } })).toMatchObject({ input: 2_750_000 });
    expect(ask({ prices: { rows: [row] } })).toEqual({ input: 1_000_000, output: 2_000_000 });
  });

  it('are refused where two rows hold for the same requests on the same day, and both are named', () => {
    const row = { model: 'ours', tier: 'batch', input: 1, output: 2 };
    const rows = [row, { ...row, tier: 'flex' }, { ...row, from: '2026-11-01' }];
    expect(() => settingsSchema.parse({ routes: [route], prices: { rows } })).toThrow(
      /row 0 \(ours in batch\) and row 2 \(ours in batch, from 2026-11-01\) overlap/,
    );
  });

  it.each([
    [{ tier: 'cheap' }, /batch.*flex.*standard.*priority/],
    [{ input: -1 }, /a price is not negative/],
    [{ input: 'free' }, /a decimal as text/],
    [{ input: 0.000_000_1 }, /at most 6 decimals/],
    [{ from: '2026-12-01', to: '2026-11-01' }, /ends before it begins/],
  ])('say what is wrong with %j', (wrong, message) => {
    const row = { model: 'm', tier: 'batch', input: 1, output: 1, ...wrong };
    expect(() => settingsSchema.parse({ routes: [route], prices: { rows: [row] } })).toThrow(message);
  });
});

describe('globs of a route', () => {
  it.each([
    [
      'match',
      ['**/+(a|b)*.jsonl'],
      'routes.0.match.0: "(" is not supported: write "{a,b}" for alternatives, or "\\(" for the character',
    ],
    [
      'ignore',
      ['a', 'x**'],
      'routes.0.ignore.1: "**" must be a whole path segment, as in "**/*.jsonl"; within a name write "*"',
    ],
    [
      'match',
      Array(51).fill('a'),
      'routes.0.match: a route has at most 50 globs in match, and as many in ignore',
    ],
  ])('beyond the language are refused in %s: %j', (list, globs, problem) => {
    expect(problemsOf({ routes: [route({ [list]: globs })] })).toEqual([problem]);
  });
});
