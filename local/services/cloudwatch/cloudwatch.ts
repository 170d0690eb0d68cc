/**
 * CloudWatch on this machine: counts the metrics of the stack's functions and queues, finds those in the functions'
 * logs, evaluates the template's alarms once a minute of the stack's clock, and tells their SNS topics.
 *
 * Metrics and states are in memory: a stack that starts again begins without data, as a new deployment does.
 */
import { AwsError, startAwsJsonServer } from '../aws-json-server.ts';
import type { Authorize } from '../iam/policy.ts';
import type { LocalService } from '../service.ts';
import type { AlarmPlan, AlarmState, StateChange, WatchedAlarm } from './alarm-rule.ts';
import { describeAlarm } from './describe.ts';
import { readEmbeddedMetrics } from './emf.ts';
import { functionSamples, type Run } from './lambda-metrics.ts';
import { MetricStore, type Sample } from './metrics.ts';
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
  const { alarms, now, sample, onChange, authorize } = options;
  const metrics = new MetricStore();
  const watch = new AlarmWatch({ alarms, metrics, sample, onChange, startedAt: now() });
  const advance = () => watch.advance(now());
  const server = await startAwsJsonServer({
    port: options.port,
    contentType: 'application/x-amz-json-1.0',
    async handle({ operation, body, accessKeyId, context }) {
      if (operation !== 'DescribeAlarms')
        throw new AwsError('UnknownOperationException', `The local CloudWatch has no ${operation}`);
      const reason = authorize?.(accessKeyId, {
        action: `cloudwatch:${operation}`,
        resource: '*',
        context,
      });
      if (reason !== undefined) throw new AwsError('AccessDeniedException', reason);
      advance();
      return { status: 200, body: describeAlarms(watch.alarms, JSON.parse(body.toString() || '{}')) };
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

interface DescribeAlarmsInput {
  AlarmNames?: string[];
  AlarmNamePrefix?: string;
  StateValue?: AlarmState;
}

/** DescribeAlarms of the API; all on one page. */
function describeAlarms(alarms: readonly WatchedAlarm[], input: DescribeAlarmsInput): object {
  const { AlarmNames, AlarmNamePrefix = '', StateValue } = input;
  const chosen = alarms
    .filter(({ alarm }) => AlarmNames?.includes(alarm.name) ?? true)
    .filter(({ alarm }) => alarm.name.startsWith(AlarmNamePrefix))
    .filter(({ state }) => StateValue === undefined || state === StateValue);
  return { MetricAlarms: chosen.map(describeAlarm), CompositeAlarms: [] };
}
