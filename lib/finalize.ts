import { Construct } from 'constructs';
import type { EnvVars, finalizeEnv } from '../src/contract/env.ts';
import { consumerFunctionProps } from './consumer.ts';
import {
  allowPutEvents,
  allowSweep,
  type ConsumerProps,
  commonEnvironment,
  consumerEnvironment,
  EVENT_BUS_NAME,
  openaiEnvironment,
} from './environment.ts';
import { heapLimits, RESULTS_MEMORY_MB } from './heap.ts';
import { PipelineFunction } from './pipeline-function.ts';

/** Merges the results of a job, writes the receipt and sends the event. */
export class Finalize extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: ConsumerProps) {
    super(scope, id);
    const { storage, apiKey, finalizeQueue } = props;
    const fn = new PipelineFunction(this, 'Function', {
      ...consumerFunctionProps('finalize', finalizeQueue, props),
      description: 'Merges the results of a job in input order and writes its receipt',
      memorySize: RESULTS_MEMORY_MB,
      environment: {
        ...commonEnvironment('finalize', props),
        ...openaiEnvironment(props),
        NODE_OPTIONS: heapLimits(RESULTS_MEMORY_MB),
        ...consumerEnvironment(props),
        EVENT_BUS_NAME,
      } satisfies EnvVars<typeof finalizeEnv>,
    });
    this.fn = fn;
    // What was written is read back and compared before anything at OpenAI is deleted.
    storage.allowReadWrite(fn, ['work', 'output', 'errors', 'retry', 'receipts']);
    storage.allowReadVersions(fn, ['input']);
    // A file dropped again whose new result lacks one of these must not leave the old one beside it; what was merged
    // below work/ is of no use once it is published.
    storage.allowDelete(fn, ['output', 'errors', 'retry', 'work']);
    allowSweep(fn, props, { kinds: ['jobs', 'input', 'month'], records: true });
    apiKey.allowRead(fn);
    finalizeQueue.deliverTo(fn, 'maxConcurrency.finalize', props.maxConcurrency);
    allowPutEvents(fn);
  }
}
