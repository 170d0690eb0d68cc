import { Size } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import type { collectEnv, EnvVars } from '../src/contract/env.ts';
import { commonEnvironment, type Foundation, openaiEnvironment } from './environment.ts';
import { heapLimits, RESULTS_MEMORY_MB } from './heap.ts';
import { PipelineFunction } from './pipeline-function.ts';
import type { WorkQueue } from './work-queue.ts';

/** What collect needs beside the foundation. */
export interface CollectProps extends Foundation {
  /** Batches that OpenAI has ended. */
  readonly collectQueue: WorkQueue;
  /** Batches of the next round. */
  readonly submitQueue: WorkQueue;
  /** Slices whose requests may be called. */
  readonly callQueue: WorkQueue;
  /** Jobs whose batches are all done. */
  readonly finalizeQueue: WorkQueue;
  /** Batches collected at a time: 2 to 1,000. */
  readonly maxConcurrency: number;
}

/** Fetches the results of an ended batch, classifies each line and plans the next round. */
export class Collect extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: CollectProps) {
    super(scope, id);
    const { storage, state, apiKey, collectQueue, submitQueue, callQueue, finalizeQueue } = props;
    const fn = new PipelineFunction(this, 'Function', {
      capability: 'collect',
      description: 'Fetches the results of an ended batch and plans its next round',
      memorySize: RESULTS_MEMORY_MB,
      // Results are sorted here; a few cents a million batches. Those beyond it are read from S3 again, line by line.
      ephemeralStorageSize: Size.gibibytes(10),
      timeout: collectQueue.consumerTimeout,
      continuesItself: true,
      logRetention: props.logRetention,
      layers: [props.settingsLayer],
      environment: {
        ...commonEnvironment('collect', props),
        ...openaiEnvironment(props),
        NODE_OPTIONS: heapLimits(RESULTS_MEMORY_MB),
        COLLECT_QUEUE_URL: collectQueue.queue.queueUrl,
        SUBMIT_QUEUE_URL: submitQueue.queue.queueUrl,
        CALL_QUEUE_URL: callQueue.queue.queueUrl,
        FINALIZE_QUEUE_URL: finalizeQueue.queue.queueUrl,
      } satisfies EnvVars<typeof collectEnv>,
    });
    this.fn = fn;
    storage.allowRead(fn, ['input', 'work']);
    storage.allowWrite(fn, ['work']);
    state.allowReadWrite(fn);
    state.allowQueryLive(fn);
    apiKey.allowRead(fn);
    submitQueue.allowSend(fn);
    callQueue.allowSend(fn);
    finalizeQueue.allowSend(fn);
    collectQueue.allowSend(fn);
    collectQueue.deliverTo(fn, 'maxConcurrency.collect', props.maxConcurrency);
  }
}
