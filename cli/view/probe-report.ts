/** What probes found, as a report that can be attached to a bug: no key, no content, no address but the host. */
import { NOT_PROBED, type ProbeSeen } from '../../src/providers/openai/probes.ts';

/** What became of a probe. */
export interface Probed {
  name: string;
  asks: string;
  /** Absent: what was seen says nothing about it. */
  answer?: string | undefined;
  seen?: ProbeSeen | undefined;
  /** Why nothing was seen. */
  failure?: string | undefined;
}

/** See {@link reportText}. */
export interface ProbeReport {
  v: 1;
  /** ISO 8601, UTC. */
  at: string;
  host: string;
  /** Of batchdrop. */
  version: string;
  model: string;
  /** What it may have cost at the most. */
  atMostUsd: string;
  probes: readonly Probed[];
  notProbed: typeof NOT_PROBED;
}

/** The report, put together. */
export function reportOf(known: Omit<ProbeReport, 'v' | 'notProbed'>): ProbeReport {
  return { v: 1, ...known, notProbed: NOT_PROBED };
}

/** The report for people. */
export function reportText({ at, host, version, model, atMostUsd, probes, notProbed }: ProbeReport): string {
  return [
    `Probes of ${host} by batchdrop ${version}, ${at}, model ${model}, at most $${atMostUsd}`,
    '',
    ...probes.flatMap(({ name, asks, answer, failure }) => [
      `${name}: ${asks}`,
      `  ${failure === undefined ? (answer ?? 'not answered by what was seen') : `failed: ${failure}`}`,
    ]),
    '',
    'Not tried:',
    ...notProbed.map(({ asks, because }) => `  ${asks}: ${because}`),
  ].join('\n');
}
