import { Construct } from 'constructs';
import type { callEnv, EnvVars } from '../src/contract/env.ts';
import { commonEnvironment, type Foundation, openaiEnvironment } from './environment.ts';
import { PipelineFunction } from './pipeline-function.ts';
import type { WorkQueue } from './work-queue.ts';

/** What call needs beside the foundation. */
export interface CallProps extends Foundation {
  /** Slices whose requests may be called. */
  readonly callQueue: WorkQueue;
  /** Slices that have been called. */
  readonly collectQueue: WorkQueue;
  /** Slices called at a time, all models together: 2 to 1,000. */
  readonly maxConcurrency: number;
}

/** Calls the requests of a slice one by one, in OpenAI's flex or standard tier. */
export class Call extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: CallProps) {
    super(scope, id);
    const { storage, state, apiKey, callQueue, collectQueue } = props;
    const fn = new PipelineFunction(this, 'Function', {
      capability: 'call',
      description: 'Calls requests one by one, in flex or standard',
      // A slice of 32 MB, as bytes and as text, and its answers.
      memorySize: 1024,
      timeout: callQueue.consumerTimeout,
      continuesItself: true,
      logRetention: props.logRetention,
      layers: [props.settingsLayer],
      environment: {
        ...commonEnvironment('call', props),
        ...openaiEnvironment(props),
        CALL_QUEUE_URL: callQueue.queue.queueUrl,
        COLLECT_QUEUE_URL: collectQueue.queue.queueUrl,
      } satisfies EnvVars<typeof callEnv>,
    });
    this.fn = fn;
    storage.allowRead(fn, ['input', 'work']);
    storage.allowWrite(fn, ['work']);
    state.allowReadWrite(fn);
    apiKey.allowRead(fn);
    callQueue.allowSend(fn);
    collectQueue.allowSend(fn);
    callQueue.deliverTo(fn, 'maxConcurrency.call', props.maxConcurrency);
  }
}
