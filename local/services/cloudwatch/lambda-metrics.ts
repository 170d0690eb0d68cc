/** The metrics that Lambda counts. Source: Lambda Developer Guide, "Types of metrics for Lambda functions". */
import type { Sample } from './metrics.ts';

/** A run of a function, or one that was throttled. */
export interface Run {
  functionName: string;
  /** Epoch ms by the stack's clock. */
  at: number;
  /** `throttled`: it did not run, and counts as no invocation. */
  end: 'succeeded' | 'failed' | 'throttled';
  durationMs: number;
}

const NAMESPACE = 'AWS/Lambda';

/** What a run adds to the metrics of its function. */
export function functionSamples({ functionName, at, end, durationMs }: Run): Sample[] {
  const sample = (name: string, value: number): Sample => ({
    namespace: NAMESPACE,
    name,
    dimensions: { FunctionName: functionName },
    at,
    value,
  });
  if (end === 'throttled') return [sample('Throttles', 1)];
  return [
    sample('Invocations', 1),
    sample('Errors', end === 'failed' ? 1 : 0),
    sample('Throttles', 0),
    sample('Duration', durationMs),
  ];
}
