import { Construct } from 'constructs';
import type { EnvVars, observeEnv } from '../src/contract/env.ts';
import { batchEnvironment, consumerFunctionProps } from './consumer.ts';
import { allowSweep, type ConsumerProps } from './environment.ts';
import { PipelineFunction } from './pipeline-function.ts';
import { allowSend, type WorkQueue } from './work-queue.ts';

/** What observe needs beside what each function that works off a queue is built on. */
export interface ObserveProps extends ConsumerProps {
  /** What webhooks name. */
  readonly observeQueue: WorkQueue;
}

/** Looks at what webhooks name, and records what OpenAI shows of it. */
export class Observe extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: ObserveProps) {
    super(scope, id);
    const { observeQueue, storage, apiKey } = props;
    const fn = new PipelineFunction(this, 'Function', {
      ...consumerFunctionProps('observe', observeQueue, props),
      description: 'Looks at what webhooks of OpenAI name',
      memorySize: 512,
      environment: {
        ...batchEnvironment('observe', props),
        OBSERVE_QUEUE_URL: observeQueue.queue.queueUrl,
      } satisfies EnvVars<typeof observeEnv>,
    });
    this.fn = fn;
    // Responses that have arrived.
    storage.allowReadWrite(fn, ['work']);
    allowSweep(fn, props, { kinds: ['webhook', 'webhooks'] });
    allowSend(fn, [observeQueue]);
    apiKey.allowRead(fn);
    observeQueue.deliverTo(fn, 'maxConcurrency.observe', props.maxConcurrency);
  }
}
