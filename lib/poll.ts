import { Duration, Validations } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import { Construct } from 'constructs';
import type { EnvVars, pollEnv } from '../src/contract/env.ts';
import { requireDuration } from './configuration.ts';
import {
  allowSweep,
  commonEnvironment,
  type Foundation,
  openaiEnvironment,
  pollMinutes,
  type Queues,
  queueEnvironment,
} from './environment.ts';
import { PipelineFunction } from './pipeline-function.ts';

/** What poll needs beside the foundation. */
export interface PollProps extends Foundation, Queues {
  /** How often to look: whole minutes from 1 to 60. */
  readonly pollInterval: Duration;
  /** How long the files of a job stay below `work/` after it has ended: 15 to 365 days. */
  readonly workExpiration: Duration;
}

/** Longer than the 14 days that a message may wait in a dead-letter queue: redriven, it finds the files of its job. */
const MIN_WORK_EXPIRATION_DAYS = 15;
const MAX_WORK_EXPIRATION_DAYS = 365;

/**
 * How long a run waits while the account has no concurrency left: the longest that Lambda allows. With the schedule's
 * interval, every run of a busy account would be thrown away unseen, and with them the only clock.
 */
const EVENT_AGE = Duration.hours(6);

/** Looks at all live batches on a schedule, sweeps up what is stuck or lost, and lists inputs whose event was lost. */
export class Poll extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: PollProps) {
    super(scope, id);
    const { storage, apiKey } = props;
    const keptDays = requireDuration(
      'workExpiration',
      props.workExpiration,
      'days',
      MIN_WORK_EXPIRATION_DAYS,
      MAX_WORK_EXPIRATION_DAYS,
    );
    const fn = new PipelineFunction(this, 'Function', {
      capability: 'poll',
      description: 'Looks at the live batches at OpenAI and sweeps up what is stuck',
      memorySize: 512,
      timeout: Duration.minutes(5),
      platform: props.platform,
      reservedConcurrency: props.reservedConcurrency?.poll,
      layers: [props.settingsLayer],
      environment: {
        ...commonEnvironment('poll', props),
        ...openaiEnvironment(props),
        WORK_KEPT_DAYS: String(keptDays),
        ...queueEnvironment(props),
      } satisfies EnvVars<typeof pollEnv>,
    });
    this.fn = fn;
    storage.allowListVersions(fn, ['input']);
    storage.allowReadWrite(fn, ['work']);
    // Files of jobs that ended long ago.
    storage.allowDelete(fn, ['work']);
    storage.allowOwners(fn);
    allowSweep(fn, props, { kinds: ['listing', 'webhooks'], records: true });
    apiKey.allowRead(fn);

    // A run that failed is not repeated: the next one does all of its work.
    const once = { retryAttempts: 0, maxEventAge: EVENT_AGE };
    fn.configureAsyncInvoke(once);
    new events.Rule(this, 'Schedule', {
      description: 'Time for batchdrop to look at its batches',
      schedule: events.Schedule.rate(Duration.minutes(pollMinutes(props))),
    }).addTarget(new targets.LambdaFunction(fn, once));
    Validations.of(this).acknowledge(
      {
        id: 'Serverless-LambdaAsyncFailureDestination',
        reason: 'The event says only that time has passed: the next run makes up for a failed one.',
      },
      {
        id: 'Serverless-EventBusDLQ',
        reason: 'The event says only that time has passed: one that was not delivered is not worth keeping.',
      },
    );
  }
}
