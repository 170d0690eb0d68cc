import { Construct } from 'constructs';
import type { EnvVars, submitEnv } from '../src/contract/env.ts';
import { commonEnvironment, type Foundation, openaiEnvironment } from './environment.ts';
import { heapLimits } from './heap.ts';
import { PipelineFunction } from './pipeline-function.ts';
import type { WorkQueue } from './work-queue.ts';

const MEMORY_MB = 512;

/** What submit needs beside the foundation. */
export interface SubmitProps extends Foundation {
  /** Batches that may be sent to OpenAI. */
  readonly submitQueue: WorkQueue;
  /** Batches submitted at a time: 2 to 1,000. */
  readonly maxConcurrency: number;
}

/** Streams a batch into OpenAI's Files API and creates the OpenAI batch, once. */
export class Submit extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: SubmitProps) {
    super(scope, id);
    const { storage, state, apiKey, submitQueue } = props;
    const fn = new PipelineFunction(this, 'Function', {
      capability: 'submit',
      description: 'Uploads a batch to OpenAI and starts it',
      memorySize: MEMORY_MB,
      timeout: submitQueue.consumerTimeout,
      continuesItself: true,
      logRetention: props.logRetention,
      layers: [props.settingsLayer],
      environment: {
        ...commonEnvironment('submit', props),
        ...openaiEnvironment(props),
        NODE_OPTIONS: heapLimits(MEMORY_MB),
        SUBMIT_QUEUE_URL: submitQueue.queue.queueUrl,
      } satisfies EnvVars<typeof submitEnv>,
    });
    this.fn = fn;
    storage.allowRead(fn, ['input', 'work']);
    storage.allowWrite(fn, ['work']);
    state.allowReadWrite(fn);
    apiKey.allowRead(fn);
    submitQueue.allowSend(fn);
    submitQueue.deliverTo(fn, 'maxConcurrency.submit', props.maxConcurrency);
  }
}
