import { globSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CORE_RANKS, findViolations, importsOf, ROOMS } from '../support/architecture.ts';

const ROOT = join(import.meta.dirname, '../..');
const TREE = new Map(
  globSync('{src,lambdas,lib,bin,cli,local,examples,bench,scripts,test}/**/*.{ts,mjs}', {
    cwd: ROOT,
    exclude: (path) => path.includes('node_modules'),
  }).map((path) => [path.split(sep).join('/'), readFileSync(join(ROOT, path), 'utf8')]),
);

/** A small tree in which everything is in order. */
const CLEAN: Record<string, string> = {
  'src/contract/env.ts': "import { z } from 'zod';\n",
  'src/core/model/job.ts':
    "import type { Env } from '../../contract/env.ts';\nconst iso = (at: number) => new Date(at);\n",
  'src/core/steps/ingest/scan.ts':
    "import { createHash } from 'node:crypto';\nimport type { Job } from '../../model/job.ts';\n",
  'src/adapters/s3.ts':
    "import { S3Client } from '@aws-sdk/client-s3';\nimport type { Job } from '../core/model/job.ts';\n",
  'src/runtime/deps.ts': "import { s3 } from '../adapters/s3.ts';\nconst now = () => Date.now();\n",
  'lambdas/ingest/handler.ts': "import { deps } from '../../src/runtime/deps.ts';\n",
  'local/stack.ts': "import { env } from '../src/contract/env.ts';\n",
  'cli/main.ts': "import manifest from '../package.json';\nimport { stack } from '../local/stack.ts';\n",
  'lib/ingest.ts':
    "import { Queue } from 'aws-cdk-lib/aws-sqs';\nimport { env } from '../src/contract/env.ts';\n",
  'bin/app.ts': "import { Ingest } from '../lib/ingest.ts';\n",
};
const violationsWith = (changes: Record<string, string>): string[] =>
  findViolations(new Map(Object.entries({ ...CLEAN, ...changes })));

describe('architecture', () => {
  it('finds the files of every room', () => {
    const isEmpty = ({ prefix }: { prefix: string }): boolean =>
      ![...TREE.keys()].some((path) => path.startsWith(prefix));
    expect(ROOMS.filter(isEmpty)).toEqual([]);
    expect(TREE.size).toBeGreaterThan(60);
  });

  it('keeps the rooms apart, the core pure, imports free of cycles, and names telling', () => {
    expect(findViolations(TREE)).toEqual([]);
  });
});

describe('docs/architecture.md', () => {
  const rows = [
    ...readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8').matchAll(
      /^\| `([a-z/-]+\/)` +\| (.{20,}) \|$/gm,
    ),
  ];
  const folders = rows.map(([, folder]) => folder!);

  it('says of each room in one sentence what lives there', () => {
    expect(folders).toEqual(expect.arrayContaining(ROOMS.map(({ prefix }) => prefix)));
  });

  it('says the same of each folder of the core, in the order of their ranks', () => {
    const ofCore = folders.filter((folder) => CORE_RANKS.includes(folder.slice(0, -1)));
    expect(ofCore).toEqual(CORE_RANKS.map((name) => `${name}/`));
  });
});

describe('the check itself', () => {
  it('finds nothing in a tree that is in order', () => {
    expect(violationsWith({})).toEqual([]);
  });

  it.each<[string, string, string]>([
    ['contract that imports core', 'src/contract/a.ts', "import type { Job } from '../core/model/job.ts';"],
    ['contract that imports a package', 'src/contract/a.ts', "import { createHash } from 'node:crypto';"],
    ['core that imports adapters', 'src/core/model/a.ts', "import { s3 } from '../../adapters/s3.ts';"],
    [
      'core that imports adapters as types',
      'src/core/model/a.ts',
      "import type { s3 } from '../../adapters/s3.ts';",
    ],
    [
      'core that imports runtime',
      'src/core/steps/ingest/a.ts',
      "import { deps } from '../../../runtime/deps.ts';",
    ],
    ['core that imports an SDK', 'src/core/model/a.ts', "import { S3Client } from '@aws-sdk/client-s3';"],
    ['core that imports openai', 'src/core/model/a.ts', "import type OpenAI from 'openai';"],
    [
      'core that imports a provider',
      'src/core/model/a.ts',
      "import { OPENAI_RULES } from '../../providers/openai/rules.ts';",
    ],
    ['core that names an endpoint', 'src/core/model/a.ts', "const url = '/v1/embeddings';"],
    [
      'core that names an error code of OpenAI',
      'src/core/model/a.ts',
      "const code = 'token_limit_exceeded';",
    ],
    [
      'core that writes a code in the place of OpenAI',
      'src/core/model/a.ts',
      "const code = 'batch_expired';",
    ],
    ['core that names a member of bodies', 'src/core/model/a.ts', "const key = body['prompt_cache_key'];"],
    [
      'core that knows models by name',
      'src/core/model/a.ts',
      'const isNew = /^(ft:)?(gpt-(5|6)|o3)/.test(model);',
    ],
    ['core that knows a header of webhooks', 'src/core/model/a.ts', "const id = headers['webhook-id'];"],
    ['core that knows fine-tunes by name', 'src/core/model/a.ts', "const isTuned = model.startsWith('ft:');"],
    ['core that knows a model', 'src/core/model/a.ts', "const model = 'text-embedding-3-small';"],
    ['core that says OpenAI in a message', 'src/core/model/a.ts', 'const reason = `OpenAI refused it`;'],
    ['core that knows a number of OpenAI', 'src/core/model/a.ts', 'const isLong = tokens > 272_000;'],
    ['core that reads package.json', 'src/core/model/a.ts', "import manifest from '../../../package.json';"],
    ['core that calls the network', 'src/core/model/a.ts', "await fetch('https://example.com');"],
    ['core that calls a URL of a variable', 'src/core/model/a.ts', 'await fetch(url);'],
    ['core that asks Temporal for the time', 'src/core/model/a.ts', 'const now = Temporal.Now.instant();'],
    ['core that queues a microtask', 'src/core/model/a.ts', 'queueMicrotask(() => {});'],
    ['core that schedules', 'src/core/model/a.ts', 'await scheduler.wait(1);'],
    ['core that ends its signals by itself', 'src/core/model/a.ts', 'AbortSignal.timeout(1);'],
    [
      'a folder of the core that imports one after it',
      'src/core/model/a.ts',
      "import { scan } from '../steps/ingest/scan.ts';",
    ],
    [
      'a step that imports another one',
      'src/core/steps/poll/a.ts',
      "import { scan } from '../ingest/scan.ts';",
    ],
    ['a file of the core in no folder', 'src/core/a.ts', ''],
    ['a folder of the core without a rank', 'src/core/other/a.ts', ''],
    ['core that reads files', 'src/core/model/a.ts', "import { readFile } from 'node:fs/promises';"],
    ['core that imports late', 'src/core/model/a.ts', "const fs = await import('node:fs');"],
    ['core that requires', 'src/core/model/a.ts', "const fs = require('node:fs');"],
    ['core that imports for effect', 'src/core/model/a.ts', "import 'node:fs';"],
    ['core that exports adapters', 'src/core/model/a.ts', "export * from '../../adapters/s3.ts';"],
    [
      'core that imports over several lines',
      'src/core/model/a.ts',
      "import {\n  one,\n  two,\n} from '../../adapters/s3.ts';",
    ],
    [
      'core that imports after other code',
      'src/core/model/a.ts',
      "export const one = 'x';\nimport { s3 } from '../../adapters/s3.ts';",
    ],
    ['adapters that import runtime', 'src/adapters/a.ts', "import { deps } from '../runtime/deps.ts';"],
    [
      'runtime that imports lambdas',
      'src/runtime/a.ts',
      "import { handler } from '../../lambdas/ingest/handler.ts';",
    ],
    ['lambdas that import lib', 'lambdas/a/handler.ts', "import { Ingest } from '../../lib/ingest.ts';"],
    ['lambdas that import the CDK', 'lambdas/a/handler.ts', "import { Stack } from 'aws-cdk-lib';"],
    ['lambdas that import local', 'lambdas/a/handler.ts', "import { stack } from '../../local/stack.ts';"],
    ['lib that imports lambdas', 'lib/a.ts', "import { handler } from '../lambdas/ingest/handler.ts';"],
    ['lib that imports core', 'lib/a.ts', "import type { Job } from '../src/core/model/job.ts';"],
    ['bin that imports runtime', 'bin/a.ts', "import { deps } from '../src/runtime/deps.ts';"],
    ['local that imports lib', 'local/a.ts', "import { Ingest } from '../lib/ingest.ts';"],
    [
      'the emulator that imports core',
      'local/openai-emulator/a.ts',
      "import type { J } from '../../src/core/model/job.ts';",
    ],
    [
      'the emulator that imports the local stack',
      'local/openai-emulator/a.ts',
      "import { s } from '../stack.ts';",
    ],
    ['local that imports the command line', 'local/a.ts', "import { main } from '../cli/main.ts';"],
    ['anything that imports tests', 'local/a.ts', "import { x } from '../test/support/x.ts';"],
    [
      'anything that imports the benchmark',
      'src/runtime/a.ts',
      "import { x } from '../../bench/measure.ts';",
    ],
    ['a peer that runs ours', 'bench/peers/a.mjs', "import { x } from '../ours/ingest.ts';"],
    ['the benchmark that imports tests', 'bench/a.ts', "import { x } from '../test/parts/a.test.ts';"],
    ['a script that imports core', 'scripts/a.ts', "import { x } from '../src/core/model/job.ts';"],
    ['support that imports a test', 'test/support/a.ts', "import { x } from '../unit/a.test.ts';"],
    [
      'a unit test that imports one of parts',
      'test/unit/a.test.ts',
      "import { x } from '../parts/b.test.ts';",
    ],
    ['a unit test that imports the CDK', 'test/unit/a.test.ts', "import { Stack } from 'aws-cdk-lib';"],
    [
      'the oracle that runs the pipeline',
      'test/system/simulation/oracle/a.ts',
      "import { type Job, run } from '../../../../src/core/model/job.ts';",
    ],
    [
      'the oracle that runs the simulation',
      'test/system/simulation/oracle/a.ts',
      "import { drops } from '../drops.ts';",
    ],
    ['the oracle that runs a package', 'test/system/simulation/oracle/a.ts', "import { z } from 'zod';"],
    ['an import without .ts', 'src/core/model/a.ts', "import type { Job } from './job';"],
    ['an import of nothing', 'src/core/model/a.ts', "import type { Job } from './gone.ts';"],
    ['core that reads the environment', 'src/core/model/a.ts', 'const key = process.env.KEY;'],
    ['core that asks for the time', 'src/core/model/a.ts', 'const now = Date.now();'],
    ['core that makes a date of now', 'src/core/model/a.ts', 'const now = new Date();'],
    ['core that makes a date of now in brief', 'src/core/model/a.ts', 'const now = +new Date;'],
    ['core that rolls dice', 'src/core/model/a.ts', 'const random = Math.random();'],
    ['core that makes ids', 'src/core/model/a.ts', "import { randomUUID } from 'node:crypto';"],
    ['core that waits', 'src/core/model/a.ts', 'setTimeout(() => {}, 1);'],
    ['core that prints', 'src/core/model/a.ts', "console.log('x');"],
    ['contract that prints', 'src/contract/a.ts', "console.log('x');"],
    ['a step that logs free text', 'src/core/model/a.ts', "deps.log.warn('something happened');"],
    ['a handler that logs free text', 'lambdas/a/handler.ts', "logger.info('something happened');"],
    ['an adapter that prints', 'src/adapters/a.ts', "console.error('x');"],
    [
      'an adapter that logs by itself',
      'src/adapters/a.ts',
      "import { Logger } from '@aws-lambda-powertools/logger';",
    ],
    ['a step that calls any text its own', 'src/core/model/a.ts', 'const reason = body as OwnText;'],
    ['a file of utils', 'src/core/base/utils.ts', ''],
    ['a file of helpers', 'lib/test-helpers.ts', ''],
    ['a manager', 'src/runtime/queue-manager.ts', ''],
    ['a folder of helpers', 'src/core/base/helpers/a.ts', ''],
    ['a name in camel case', 'src/core/base/runFile.ts', ''],
    ['a file in no room', 'src/index.ts', ''],
  ])('finds %s', (_what, path, text) => {
    // Some close a ring of folders, too.
    const violations = violationsWith({ [path]: text }).filter((found) => !found.startsWith('folders'));
    expect(violations).toHaveLength(1);
    expect(violations[0]).toContain(path);
  });

  it('lets the oracle name types of the pipeline', () => {
    const text = "import type {\n  Job,\n} from '../../../../src/core/model/job.ts';";
    expect(violationsWith({ 'test/system/simulation/oracle/a.ts': text })).toEqual([]);
  });

  it('finds cycles: of two, of three, and of a file with itself', () => {
    expect(
      violationsWith({ 'lib/a.ts': "import './b.ts';", 'lib/b.ts': "import type { A } from './a.ts';" }),
    ).toEqual(['import cycle: lib/a.ts -> lib/b.ts -> lib/a.ts']);
    const ring = {
      'lib/a.ts': "import './b.ts';",
      'lib/b.ts': "import './c.ts';",
      'lib/c.ts': "import './a.ts';",
    };
    expect(violationsWith(ring)).toEqual(['import cycle: lib/a.ts -> lib/b.ts -> lib/c.ts -> lib/a.ts']);
    expect(violationsWith({ 'lib/a.ts': "import './a.ts';" })).toEqual([
      'import cycle: lib/a.ts -> lib/a.ts',
    ]);
  });

  it('finds folders that import each other though no files do', () => {
    expect(
      violationsWith({
        'local/a/one.ts': "import '../b/two.ts';",
        'local/b/two.ts': '',
        'local/b/three.ts': "import '../a/four.ts';",
        'local/a/four.ts': '',
      }),
    ).toEqual(['folders import each other: local/a -> local/b -> local/a']);
  });

  it('is not misled by comments, strings and dates with a time', () => {
    const text = [
      "/** Not `import { x } from '../adapters/s3.ts'`, not process.env, not Date.now(). */",
      '// console.log(new Date())',
      "export const url = 'https://example.com/v1'; // Math.random()",
      'export const iso = (at: number): string => new Date(at).toISOString();',
      'export const parse = (text: string): number => Date.parse(text);',
    ].join('\n');
    expect(violationsWith({ 'src/core/model/a.ts': text })).toEqual([]);
    expect(importsOf(text)).toEqual([]);
  });
});
