/** `batchdrop doctor --probe --live`: tries at OpenAI what is not established, and writes a report. Needs no stack. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import packageJson from '../../package.json' with { type: 'json' };
import { fromUsd, toUsd } from '../../src/core/base/money.ts';
import { noUsage } from '../../src/core/model/usage.ts';
import { PROBE_CAPS, PROBE_MODEL, PROBES, probeBound } from '../../src/providers/openai/probes.ts';
import { confirm } from '../options/confirm.ts';
import { chooseOpenAI } from '../options/openai.ts';
import { pricesOf } from '../options/prices.ts';
import { runProbes } from '../options/run-probes.ts';
import { CannotRunError, EXIT_CANNOT_RUN, EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { reportOf, reportText } from '../view/probe-report.ts';

/** Options of the probes. */
export interface ProbeOptions {
  /** The real OpenAI may be asked. */
  live?: boolean;
  yes?: boolean;
  /** Folder of the report. */
  out: string;
  json?: boolean;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Between two looks at a batch. */
const LOOK_MS = 3_000;

/**
 * @param env `OPENAI_API_KEY`, `OPENAI_BASE_URL`.
 * @param pause waits between two looks at a batch.
 * @returns the exit status: 1 where a probe failed.
 * @throws {UsageError} if nothing is named that may be asked; {CannotRunError} if it could cost too much.
 */
export async function probe(
  options: ProbeOptions,
  env: Env,
  pause: () => Promise<unknown> = () => wait(LOOK_MS),
): Promise<number> {
  const openai = chooseOpenAI(env, options.live ?? false);
  if (openai === undefined)
    throw new UsageError(
      '--probe needs --live and the key in OPENAI_API_KEY, or OPENAI_BASE_URL of an emulator',
    );
  const now = Date.now();
  const { atMostUsd, requests, tokens } = await boundAt(now);
  const { host } = new URL(openai.baseUrl);
  const question = `Send ${PROBES.length} probes to ${host}: up to ${requests} requests that may be billed, up to ${tokens} tokens, at most $${atMostUsd}?`;
  if (!(await confirm(question, options))) return EXIT_SUCCEEDED;
  const probes = await runProbes(PROBES, { ...openai, wait: pause });
  const at = new Date(now).toISOString();
  const known = { at, host, version: packageJson.version, model: PROBE_MODEL, atMostUsd, probes };
  const report = reportOf(known);
  await mkdir(options.out, { recursive: true });
  const path = join(options.out, `batchdrop-probe-${at.replaceAll(/[:.]/g, '-')}`);
  await writeFile(`${path}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
  await writeFile(`${path}.txt`, `${reportText(report)}\n`);
  console.log(
    options.json ? JSON.stringify(report) : `${reportText(report)}\n\nWritten to ${path}.json and .txt`,
  );
  return probes.some(({ failure }) => failure !== undefined) ? EXIT_CANNOT_RUN : EXIT_SUCCEEDED;
}

/** What a run can cost at the most: at the rates of standard, the dearest tier that is used. */
async function boundAt(at: number): Promise<{ atMostUsd: string; requests: number; tokens: number }> {
  const { billedRequests, inputTokens, outputTokens } = probeBound(PROBES);
  const tokens = inputTokens + outputTokens;
  const usage = { ...noUsage(), inputTokens, outputTokens };
  const cost = (await pricesOf({})).costOf(usage, { model: PROBE_MODEL, tier: 'standard', at });
  const { usd, billedRequests: mostRequests, tokens: mostTokens } = PROBE_CAPS;
  if (cost === undefined) throw new CannotRunError(`the price table has no price of ${PROBE_MODEL}`);
  if (cost > fromUsd(String(usd))! || billedRequests > mostRequests || tokens > mostTokens)
    throw new CannotRunError(
      `the probes could cost $${toUsd(cost)} for ${billedRequests} requests and ${tokens} tokens: the caps are $${usd}, ${mostRequests} and ${mostTokens}`,
    );
  return { atMostUsd: toUsd(cost), requests: billedRequests, tokens };
}
