/** The rules that docs/architecture.md ("Rooms") sets, checked on the text of the files: see architecture.test.ts. */
import { posix } from 'node:path';

/** Source files by path from the root of the repository, with `/` between its parts. */
export type SourceTree = ReadonlyMap<string, string>;

interface Room {
  /** Begins the path of every file in it. */
  prefix: string;
  /** Rooms that it may import from, its own aside. */
  from: readonly string[];
  /** Rooms of which it may name types, and run nothing. */
  typesFrom?: readonly string[];
  /** Packages and `node:` modules that it may import; any, if absent. */
  packages?: readonly string[];
}

const BELOW_RUNTIME = ['src/contract/', 'src/core/', 'src/adapters/', 'src/providers/', 'src/runtime/'];
const EMULATOR = 'local/openai-emulator/';
const ORACLE = 'test/system/simulation/oracle/';
/** What every kind of test may run. */
const BELOW_TESTS = [...BELOW_RUNTIME, 'lib/', 'local/', EMULATOR, 'test/support/'];

/**
 * `contract <- core <- adapters <- providers <- runtime <- {lambdas, cli, local}` and `contract <- lib <- bin`. The
 * command line also drives the local stack. Nothing that is deployed imports what measures or tests it. A file is in
 * the first room whose prefix it has.
 */
export const ROOMS: readonly Room[] = [
  { prefix: 'src/contract/', from: [], packages: ['zod'] },
  {
    prefix: 'src/core/',
    from: ['src/contract/'],
    packages: ['zod', 'node:buffer', 'node:crypto', 'node:stream', 'node:zlib'],
  },
  { prefix: 'src/adapters/', from: ['src/contract/', 'src/core/'] },
  { prefix: 'src/providers/', from: ['src/contract/', 'src/core/', 'src/adapters/'] },
  { prefix: 'src/runtime/', from: ['src/contract/', 'src/core/', 'src/adapters/', 'src/providers/'] },
  { prefix: 'lambdas/', from: BELOW_RUNTIME },
  // A witness of its own: what it shared with the pipeline, it could not find wrong.
  { prefix: EMULATOR, from: [] },
  { prefix: 'local/', from: [...BELOW_RUNTIME, EMULATOR] },
  { prefix: 'cli/', from: [...BELOW_RUNTIME, 'local/'] },
  { prefix: 'lib/', from: ['src/contract/'] },
  { prefix: 'bin/', from: ['src/contract/', 'lib/'] },
  { prefix: 'examples/', from: ['cli/', 'local/'] },
  // What ours is compared with runs nothing of ours.
  { prefix: 'bench/floors/', from: [] },
  { prefix: 'bench/peers/', from: [] },
  { prefix: 'bench/', from: [...BELOW_RUNTIME, 'lib/', 'local/', EMULATOR, 'test/support/'] },
  // The packages are made of what is deployed, and bundled as it is.
  { prefix: 'scripts/', from: ['src/contract/', 'lib/', 'local/', 'test/system/'] },
  // The other witness of its own: it reads records and receipts, and decides by itself what they must say.
  {
    prefix: ORACLE,
    from: [],
    typesFrom: ['src/contract/', 'src/core/', 'test/system/'],
    packages: ['node:crypto', 'node:util'],
  },
  { prefix: 'test/support/', from: [...BELOW_TESTS, 'bin/'] },
  // What its users get: it runs nothing of ours but what makes and describes the packages, and installs Python's.
  { prefix: 'test/packages/', from: ['scripts/', 'test/support/'] },
  { prefix: 'test/unit/', from: [...BELOW_TESTS, 'cli/', 'bench/', 'scripts/', 'test/system/'] },
  { prefix: 'test/parts/', from: [...BELOW_TESTS, 'cli/', 'bin/', 'bench/', 'scripts/'] },
  { prefix: 'test/system/', from: [...BELOW_TESTS, 'bench/', ORACLE] },
];

/**
 * The folders of `src/core`: each may import those before it, and itself. The folders of `steps` may not import each
 * other; the folders within any other one count as that one.
 */
export const CORE_RANKS = [
  'base',
  'model',
  'ports',
  'files',
  'results',
  'requests',
  'pricing',
  'lifecycle',
  'scheduling',
  'drops',
  'steps',
  'forecast',
  'audit',
];
const CORE = 'src/core/';

/** Packages that describe infrastructure: they belong where the CDK app is, and in no bundle. */
const INFRASTRUCTURE = /^(aws-cdk-lib|constructs|cdk-nag)(\/|$)/;
const INFRASTRUCTURE_ROOMS = ['lib/', 'bin/', 'test/support/', 'test/parts/', 'test/packages/'];

/** Rooms in which folders must not import each other either. */
const LAYERED_ROOMS = /^(src|lib|lambdas|cli|local)\//;

/** What the pure rooms may not reach for: time, chance, the process and the console come in as arguments. */
const PURE_ROOMS = ['src/contract/', 'src/core/'];
const IMPURE: readonly [name: string, pattern: RegExp][] = [
  ['process', /\bprocess\b\s*(\.|\[|\?\.)/],
  ['globalThis', /\bglobalThis\b/],
  ['Date.now', /\bDate\s*\.\s*now\b/],
  ['new Date() of now', /\bnew\s+Date\b\s*(\(\s*\)|(?!\s*\())/],
  ['Date() of now', /(?<!new\s+|\.|\w)Date\s*\(/],
  ['performance.now', /\bperformance\s*\./],
  ['Math.random', /\bMath\s*\.\s*random\b/],
  ['random bytes', /\b(randomUUID|randomBytes|randomInt|getRandomValues|webcrypto)\b/],
  [
    'a timer',
    /\b(setTimeout|setInterval|setImmediate|queueMicrotask|nextTick)\b|\bscheduler\s*\.|\bAbortSignal\s*\.\s*timeout\b/,
  ],
  ['Temporal.Now', /\bTemporal\s*\.\s*Now\b/],
  ['console', /\bconsole\s*\./],
  ['fetch', /(?<![.\w]|function\s+)fetch\s*\(/],
];

/**
 * Free text in a log: what is reported is an event of src/contract/events.ts. Only the telemetry itself writes log
 * lines.
 */
const FREE_TEXT_ROOMS = ['src/', 'lambdas/'];
const TELEMETRY = 'src/runtime/logger.ts';
const FREE_TEXT: readonly [name: string, pattern: RegExp][] = [
  ['free-text logging', /\b(log|logger)\s*\??\.\s*(trace|debug|info|warn|error|critical|log)\b/i],
  ['a logger of its own', /@aws-lambda-powertools\/logger/],
  ['text that it makes its own', /\bas\s+OwnText\b/],
  ['console', /\bconsole\s*\./],
];
const OWN_TEXT = 'src/core/base/own-text.ts';

/**
 * What only a provider knows: in the core it would be a second place to change for a new endpoint or another provider.
 */
const CORE_NAMES_NO: readonly [name: string, pattern: RegExp][] = [
  ['the URL of an endpoint', /['"`]\/v\d+\//],
  [
    "an error code of OpenAI's",
    /['"`](insufficient_quota|billing_\w+|account_deactivated|invalid_api_key|model_not_found|token_limit_exceeded|too_many_tasks|mismatched_model|rate_limit_exceeded|resource_unavailable|batch_expired|batch_cancelled|request_timeout)['"`]/,
  ],
  ["OpenAI's key of the prompt cache", /['"`]prompt_cache_key['"`]/],
  ["a header of OpenAI's webhooks", /['"`]webhook-(id|timestamp|signature)['"`]/],
  ["the beginning of a fine-tune's name", /['"`]ft:/],
  ['a model', /['"`/](\^|\(|\)|ft:|\?)*(gpt|text-embedding|o\\?\d|-luna|-mini)\b/],
  ['OpenAI in a text', /['"`][^'"`\n]*\bOpenAI\b/],
  ["a number of OpenAI's", /\b(272_?000|900_000|190_000_000)\b/],
];

const EMPTY_NAMES = /(^|[-.])(utils?|helpers?|managers?)\.ts$/;
const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*(\.(d|test|suite))?\.(ts|mjs)$/;

/** Everything in the tree that breaks a rule, one sentence each; empty if nothing does. */
export function findViolations(tree: SourceTree): string[] {
  return [
    ...findImportViolations(tree),
    ...findRankViolations(tree),
    ...findCycles(tree),
    ...findFolderCycles(tree),
    ...findImpurities(tree),
    ...findProviderKnowledge(tree),
    ...findFreeText(tree),
    ...findBadNames(tree),
  ];
}

/** What a file imports or re-exports, types included. */
export function importsOf(text: string): string[] {
  const code = withoutComments(text);
  return [
    ...code.matchAll(/^\s*(?:import|export)\s(?:[^'"`;]*?\sfrom\s*)?['"]([^'"]+)['"]/gm),
    ...code.matchAll(/\b(?:import|require)\s*\(\s*['"`]([^'"`]+)['"`]/g),
  ].map((match) => match[1]!);
}

/** What a file imports to run: types, which leave no trace, left out. */
function runtimeImportsOf(text: string): string[] {
  return importsOf(withoutComments(text).replace(/^\s*(import|export)\s+type\s[^'"]*['"][^'"]+['"]/gm, ''));
}

function findImportViolations(tree: SourceTree): string[] {
  const violations: string[] = [];
  for (const [path, text] of tree) {
    const room = roomOf(path);
    if (room === undefined) {
      violations.push(`${path} is in no room`);
      continue;
    }
    const run = runtimeImportsOf(text);
    for (const imported of importsOf(text)) {
      const isType = !run.includes(imported);
      if (imported.startsWith('.'))
        violations.push(...findFileViolations(tree, { path, room }, { imported, isType }));
      else if (room.packages !== undefined && !room.packages.includes(imported))
        violations.push(`${path} imports ${imported}; ${room.prefix} may import ${room.packages.join(', ')}`);
      else if (INFRASTRUCTURE.test(imported) && !INFRASTRUCTURE_ROOMS.includes(room.prefix))
        violations.push(
          `${path} imports ${imported}, which belongs in ${INFRASTRUCTURE_ROOMS.join(' and ')}`,
        );
    }
  }
  return violations;
}

function findFileViolations(
  tree: SourceTree,
  { path, room }: { path: string; room: Room },
  { imported, isType }: { imported: string; isType: boolean },
): string[] {
  const target = resolve(path, imported);
  // The version and such, for rooms that may import anything.
  if (target === 'package.json' && room.packages === undefined) return [];
  const targetRoom = roomOf(target);
  if (targetRoom === undefined) return [`${path} imports ${imported}, which is in no room`];
  const { from, typesFrom = [] } = room;
  const mayImport = isType ? [...from, ...typesFrom] : from;
  if (targetRoom !== room && !mayImport.includes(targetRoom.prefix))
    return [`${path} imports ${target}; ${room.prefix} may import ${mayImport.join(', ') || 'only itself'}`];
  if (!/\.(ts|mjs)$/.test(imported)) return [`${path} imports ${imported}, which does not end in .ts`];
  return tree.has(target) ? [] : [`${path} imports ${imported}, which is not there`];
}

function findRankViolations(tree: SourceTree): string[] {
  const violations: string[] = [];
  for (const path of tree.keys()) {
    if (!path.startsWith(CORE)) continue;
    const folder = coreFolderOf(path);
    if (!CORE_RANKS.includes(folder.split('/')[0]!)) violations.push(`${path} is in no folder of the core`);
    for (const target of filesImportedBy(tree, path)) {
      if (!target.startsWith(CORE)) continue;
      const other = coreFolderOf(target);
      if (other !== folder && rankOf(other) >= rankOf(folder))
        violations.push(`${path} imports ${target}; ${folder} may import only the folders before it`);
    }
  }
  return violations;
}

/** `steps/poll` for what is below it, the first folder of all else. */
function coreFolderOf(path: string): string {
  const [first, second] = path.slice(CORE.length).split('/');
  return first === 'steps' ? `${first}/${second}` : first!;
}

const rankOf = (folder: string): number => CORE_RANKS.indexOf(folder.split('/')[0]!);

/** Each group of files that import each other in a ring, named by one ring. */
function findCycles(tree: SourceTree): string[] {
  const imports = new Map([...tree.keys()].map((path) => [path, filesImportedBy(tree, path)]));
  return ringsIn(imports).map((ring) => `import cycle: ${ring.join(' -> ')}`);
}

/** The same for folders, where no file is in the ring that {@link findCycles} names. */
function findFolderCycles(tree: SourceTree): string[] {
  const folders = new Map<string, string[]>();
  for (const path of tree.keys()) {
    if (!LAYERED_ROOMS.test(path)) continue;
    const folder = posix.dirname(path);
    const others = filesImportedBy(tree, path)
      .map((target) => posix.dirname(target))
      .filter((other) => other !== folder);
    folders.set(folder, [...(folders.get(folder) ?? []), ...others]);
  }
  return ringsIn(folders).map((ring) => `folders import each other: ${ring.join(' -> ')}`);
}

/** One ring of each group of names that lead to each other; begins and ends with the same name. */
function ringsIn(arrows: ReadonlyMap<string, readonly string[]>): string[][] {
  const rings: string[][] = [];
  const state = new Map<string, 'open' | 'done'>();
  const trail: string[] = [];
  const visit = (name: string): void => {
    state.set(name, 'open');
    trail.push(name);
    for (const next of arrows.get(name) ?? []) {
      if (state.get(next) === 'open') rings.push([...trail.slice(trail.indexOf(next)), next]);
      else if (state.get(next) === undefined) visit(next);
    }
    trail.pop();
    state.set(name, 'done');
  };
  for (const name of arrows.keys()) if (state.get(name) === undefined) visit(name);
  return rings;
}

/** Files of the tree that a file imports, types included. */
function filesImportedBy(tree: SourceTree, path: string): string[] {
  return importsOf(tree.get(path)!)
    .filter((imported) => imported.startsWith('.'))
    .map((imported) => resolve(path, imported))
    .filter((target) => tree.has(target));
}

function findImpurities(tree: SourceTree): string[] {
  const violations: string[] = [];
  for (const [path, text] of tree) {
    if (!PURE_ROOMS.some((prefix) => path.startsWith(prefix))) continue;
    const code = withoutComments(text);
    for (const [name, pattern] of IMPURE) if (pattern.test(code)) violations.push(`${path} uses ${name}`);
  }
  return violations;
}

function findFreeText(tree: SourceTree): string[] {
  const violations: string[] = [];
  for (const [path, text] of tree) {
    if (path === TELEMETRY || path === OWN_TEXT || !FREE_TEXT_ROOMS.some((prefix) => path.startsWith(prefix)))
      continue;
    const code = withoutComments(text);
    for (const [name, pattern] of FREE_TEXT) {
      // In the pure rooms the console is refused already.
      if (name === 'console' && PURE_ROOMS.some((prefix) => path.startsWith(prefix))) continue;
      if (pattern.test(code)) violations.push(`${path} uses ${name}; it should record an event`);
    }
  }
  return violations;
}

function findProviderKnowledge(tree: SourceTree): string[] {
  const violations: string[] = [];
  for (const [path, text] of tree) {
    if (!path.startsWith(CORE)) continue;
    const code = withoutComments(text);
    for (const [name, pattern] of CORE_NAMES_NO)
      if (pattern.test(code)) violations.push(`${path} names ${name}, which belongs below src/providers`);
  }
  return violations;
}

function findBadNames(tree: SourceTree): string[] {
  const violations: string[] = [];
  for (const path of tree.keys()) {
    const name = posix.basename(path);
    if (EMPTY_NAMES.test(name) || /(^|\/)(utils?|helpers?|managers?)\//.test(path))
      violations.push(`${path} has a name that says nothing`);
    if (!KEBAB_CASE.test(name)) violations.push(`${path} is not named in kebab-case`);
  }
  return violations;
}

const roomOf = (path: string): Room | undefined => ROOMS.find(({ prefix }) => path.startsWith(prefix));
const resolve = (path: string, imported: string): string => posix.join(posix.dirname(path), imported);

/** Comments go; `//` inside a URL is none. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[\s;{}(),])\/\/.*$/gm, '$1');
}
