/**
 * Ours: the project's own ingest over a file. Reads, checks, cuts, and writes manifests; shards are byte ranges of the
 * input, so no line is written again. Bundled before it is measured, as the function is before it is deployed.
 */

import { statSync } from 'node:fs';
import type { Layout } from '../../src/contract/layout.ts';
import type { Route } from '../../src/contract/route.ts';
import type { Job } from '../../src/core/model/job.ts';
import { Prices } from '../../src/core/pricing/prices.ts';
import { scan } from '../../src/core/steps/ingest/scan.ts';
import { OPENAI_PRICES } from '../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../src/providers/openai/rules.ts';
import { FileObjects } from './file-objects.ts';

const [path, folder] = process.argv.slice(2) as [string, string];

const layout: Layout = {
  input: 'input/',
  output: 'output/',
  errors: 'errors/',
  retry: 'retry/',
  receipts: 'receipts/',
  work: 'work/',
};
/** Written out, as a job has it: reading settings is no part of reading a file. */
const route: Route = {
  name: 'default',
  prefix: 'input/',
  match: ['**'],
  ignore: [],
  onInvalid: 'quarantine',
  preflight: 'warn',
  maxTries: 3,
  maxTriesByCause: { lost: 2 },
  sameContent: 'skip',
  onLost: 'hold',
  onLate: 'cancel',
  responseRetention: '30d',
  tiers: ['batch'],
  completionWindow: '24h',
  budget: 'unlimited',
  overBudget: 'wait',
  allowUnpriced: false,
  mayOverride: [],
};
const key = 'input/bench.jsonl';
const source = { bucket: 'bench', key, versionId: '1' };
const job: Job = {
  v: 1,
  jobId: 'c0ffee00c0ffee00c0ffee00c0ffee00',
  input: { ...source, etag: '"e"', lastModified: 0, size: statSync(path).size },
  source,
  route,
  state: 'ingesting',
  createdAt: 0,
  updatedAt: 0,
};

const objects = new FileObjects({ key, path }, folder);
const deps = {
  objects,
  layout,
  rules: OPENAI_RULES,
  limits: OPENAI_RULES.limits,
  prices: new Prices(OPENAI_PRICES),
  deadline: { remainingMs: () => Number.POSITIVE_INFINITY },
  worker: 'bench',
  save: () => Promise.reject(new Error('there is time enough')),
};
const plan = await scan(deps, job, 'bench');
if (plan === undefined) throw new Error('the scan was broken off');
if (plan.invalid > 0) throw new Error(`${plan.invalid} of ${plan.requests} lines were found invalid`);
console.log(JSON.stringify({ lines: plan.requests, batches: plan.batches.length }));
