import { Construct } from 'constructs';
import type { EnvVars, submitEnv } from '../src/contract/env.ts';
import { allowBatchWork, batchEnvironment, consumerFunctionProps } from './consumer.ts';
import type { ConsumerProps } from './environment.ts';
import { heapLimits } from './heap.ts';
import { PipelineFunction } from './pipeline-function.ts';

const MEMORY_MB = 512;

/** Streams a batch into OpenAI's Files API and creates the OpenAI batch, once. */
export class Submit extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: ConsumerProps) {
    super(scope, id);
    this.fn = new PipelineFunction(this, 'Function', {
      ...consumerFunctionProps('submit', props.submitQueue, props),
      description: 'Uploads a batch to OpenAI and starts it',
      memorySize: MEMORY_MB,
      environment: {
        ...batchEnvironment('submit', props),
        NODE_OPTIONS: heapLimits(MEMORY_MB),
      } satisfies EnvVars<typeof submitEnv>,
    });
    allowBatchWork(this.fn, 'submit', props);
  }
}
