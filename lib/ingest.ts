import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import { Construct } from 'constructs';
import type { EnvVars, ingestEnv } from '../src/contract/env.ts';
import { consumerFunctionProps } from './consumer.ts';
import {
  allowPutEvents,
  allowSweep,
  type ConsumerProps,
  commonEnvironment,
  consumerEnvironment,
  EVENT_BUS_NAME,
} from './environment.ts';
import { PipelineFunction } from './pipeline-function.ts';

/** Takes in dropped files: checks every line, cuts batches, writes their manifests. */
export class Ingest extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: ConsumerProps) {
    super(scope, id);
    const { storage, ingestQueue } = props;
    const fn = new PipelineFunction(this, 'Function', {
      ...consumerFunctionProps('ingest', ingestQueue, props),
      description: 'Checks a dropped file line by line and cuts it into batches',
      memorySize: 512,
      environment: {
        ...commonEnvironment('ingest', props),
        ...consumerEnvironment(props),
        EVENT_BUS_NAME,
      } satisfies EnvVars<typeof ingestEnv>,
    });
    this.fn = fn;
    // Listed too: which version came before this one, and which options lay beside it.
    storage.allowReadVersions(fn, ['input']);
    storage.allowReadWrite(fn, ['work']);
    storage.allowOwners(fn);
    // Of files that another stack runs.
    allowPutEvents(fn);
    allowSweep(fn, props, { kinds: ['listing', 'ignored'], records: true });
    ingestQueue.deliverTo(fn, 'maxConcurrency.ingest', props.maxConcurrency);

    const rule = new events.Rule(this, 'ObjectCreated', {
      description: 'Files dropped for batchdrop',
      eventPattern: {
        source: ['aws.s3'],
        detailType: ['Object Created'],
        detail: {
          bucket: { name: [storage.bucket.bucketName] },
          object: { key: [{ prefix: props.settings.layout.input }] },
        },
      },
    });
    // An event that cannot be delivered waits with the messages that could not be worked off.
    rule.addTarget(new targets.SqsQueue(ingestQueue.queue, { deadLetterQueue: ingestQueue.deadLetterQueue }));
  }
}
