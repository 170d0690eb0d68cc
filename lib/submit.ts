import { Construct } from 'constructs';
import type { EnvVars, submitEnv } from '../src/contract/env.ts';
import {
  allowSweep,
  type ConsumerProps,
  commonEnvironment,
  consumerEnvironment,
  openaiEnvironment,
} from './environment.ts';
import { heapLimits } from './heap.ts';
import { PipelineFunction } from './pipeline-function.ts';

const MEMORY_MB = 512;

/** Streams a batch into OpenAI's Files API and creates the OpenAI batch, once. */
export class Submit extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: ConsumerProps) {
    super(scope, id);
    const { storage, apiKey, submitQueue } = props;
    const fn = new PipelineFunction(this, 'Function', {
      capability: 'submit',
      description: 'Uploads a batch to OpenAI and starts it',
      memorySize: MEMORY_MB,
      timeout: submitQueue.consumerTimeout,
      continuesItself: true,
      logRetention: props.logRetention,
      reservedConcurrency: props.reservedConcurrency?.submit,
      layers: [props.settingsLayer],
      environment: {
        ...commonEnvironment('submit', props),
        ...openaiEnvironment(props),
        NODE_OPTIONS: heapLimits(MEMORY_MB),
        ...consumerEnvironment(props),
      } satisfies EnvVars<typeof submitEnv>,
    });
    this.fn = fn;
    storage.allowRead(fn, ['input', 'work']);
    storage.allowWrite(fn, ['work']);
    allowSweep(fn, props);
    apiKey.allowRead(fn);
    submitQueue.deliverTo(fn, 'maxConcurrency.submit', props.maxConcurrency);
  }
}
