/**
 * CloudWatch on this machine: counts the metrics of the stack's functions and queues, finds those in the functions'
 * logs, evaluates the template's alarms once a minute of the stack's clock, and tells their SNS topics.
 *
 * Metrics and states are in memory: a stack that starts again begins without data, as a new deployment does.
 */
import { AwsError, startAwsJsonServer } from '../aws-json-server.ts';
import type { Authorize } from '../iam/policy.ts';
import type { LocalService } from '../service.ts';
import type { AlarmPlan, StateChange, WatchedAlarm } from './alarm-rule.ts';
import { readEmbeddedMetrics } from './emf.ts';
import { functionSamples, type Run } from './lambda-metrics.ts';
import { MetricStore, type Sample } from './metrics.ts';
import { type DashboardPlan, OPERATIONS } from './operations.ts';
import { AlarmWatch } from './watch.ts';

/** A running CloudWatch. */
export interface CloudWatch extends LocalService {
  /** Each alarm with its state, evaluated up to now. */
  alarms(): readonly WatchedAlarm[];
  /** Reads a line of a function's log. */
  readLog(line: string): void;
  /** Counts a run of a function. */
  countRun(run: Run): void;
}

/** What CloudWatch is started with. */
export interface CloudWatchOptions {
  /** @default the system chooses */
  port?: number | undefined;
  /** Refuses calls. @default every call is allowed */
  authorize?: Authorize | undefined;
  alarms: readonly AlarmPlan[];
  /** @default there are none */
  dashboards?: readonly DashboardPlan[] | undefined;
  /** Clock of the stack. */
  now: () => number;
  /** Metrics of queues, at a time. */
  sample: (at: number) => readonly Sample[];
  onChange: (change: StateChange) => void;
}

/** How often it is looked whether a minute has ended. */
const LOOK_MS = 1_000;

/** Starts CloudWatch. */
export async function startCloudWatch(options: CloudWatchOptions): Promise<CloudWatch> {
  const { alarms, dashboards = [], now, sample, onChange, authorize } = options;
  const metrics = new MetricStore();
  const watch = new AlarmWatch({ alarms, metrics, sample, onChange, startedAt: now() });
  const advance = () => watch.advance(now());
  const server = await startAwsJsonServer({
    port: options.port,
    contentType: 'application/x-amz-json-1.0',
    async handle({ operation, body, accessKeyId, context }) {
      const known = OPERATIONS[operation];
      if (known === undefined)
        throw new AwsError('UnknownOperationException', `The local CloudWatch has no ${operation}`);
      const input = JSON.parse(body.toString() || '{}') as never;
      for (const resource of known.resourcesOf(input)) {
        const reason = authorize?.(accessKeyId, { action: `cloudwatch:${operation}`, resource, context });
        if (reason !== undefined) throw new AwsError('AccessDeniedException', reason);
      }
      advance();
      return { status: 200, body: known.answer({ alarms: watch.alarms, dashboards, metrics }, input) };
    },
  });
  const timer = setInterval(advance, LOOK_MS);
  timer.unref();
  return {
    endpoint: server.endpoint,
    port: server.port,
    alarms() {
      advance();
      return watch.alarms;
    },
    readLog(line) {
      for (const each of readEmbeddedMetrics(line)) metrics.add(each);
    },
    countRun(run) {
      for (const each of functionSamples(run)) metrics.add(each);
    },
    async close() {
      clearInterval(timer);
      await server.close();
    },
  };
}
